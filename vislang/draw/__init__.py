"""Drawing on images: heat maps, boxes, grids of images, videos."""
