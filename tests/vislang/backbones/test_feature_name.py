import pytest

from vislang.backbones.feature_name import FeatureName
from vislang.core.errors import ConfigError

NAMES = {
    "pooled": FeatureName("pooled"),
    "grid@320": FeatureName("grid", preprocessing="320"),
    "conv5/3x3-relu": FeatureName("conv5/3x3-relu"),
    "StatefulPartitionedCall:0": FeatureName("StatefulPartitionedCall:0"),
    "pre:conv5": FeatureName("conv5", before_relu=True),
    "blob:conv5": FeatureName("conv5", "blob"),
    "regions-detector@squash-320-tf/v1": FeatureName("", "regions", "detector", "squash-320-tf/v1"),
    "boxes-grid": FeatureName("", "boxes", "grid"),
    "regions-": FeatureName("regions-"),
    "efficientnet_lite2::pooled@320": FeatureName("pooled", preprocessing="320", backbone="efficientnet_lite2"),
    "vgg16::regions-grid": FeatureName("", "regions", "grid", backbone="vgg16"),
    "vgg16::pre:conv5": FeatureName("conv5", before_relu=True, backbone="vgg16"),
}


@pytest.mark.parametrize("text", NAMES)
def test_a_name_is_taken_apart_and_put_together_again(text):
    assert FeatureName.parse(text) == NAMES[text]
    assert str(NAMES[text]) == text


def test_layer_may_be_said_and_means_the_same():
    assert FeatureName.parse("layer:conv5") == FeatureName("conv5")
    assert FeatureName.parse("pre:layer:conv5") == FeatureName("conv5", before_relu=True)


@pytest.mark.parametrize("text", ["", "@320", "pre:", "layer:", "blob:@320", "vgg16::"])
def test_a_name_of_no_layer_is_refused(text):
    with pytest.raises(ConfigError, match="names no feature"):
        FeatureName.parse(text)


def test_a_cache_groups_features_by_backbone_and_preprocessing():
    assert FeatureName.parse("regions-grid@320").in_cache("resnet50") == ("resnet50@320", "regions-grid")
    assert FeatureName.parse("layer:pooled").in_cache("resnet50") == ("resnet50", "pooled")
    assert FeatureName.parse("vgg16::pooled@320").in_cache("resnet50") == ("vgg16@320", "pooled")


def test_features_of_the_same_regions_go_together():
    assert str(FeatureName.parse("regions-grid@320").of_kind("boxes")) == "boxes-grid@320"
    with pytest.raises(ConfigError, match=r"pooled is no feature of regions"):
        FeatureName.parse("pooled").of_kind("boxes")
