"""The roof: what runs several systems at once: the `vislang` command, the demo, the album, the doctor."""
