"""The image processors, where diffusers has them: `from oxidiff.image_processor import VaeImageProcessor`."""

from ._oxidiff import VaeImageProcessor

__all__ = ["IPAdapterMaskProcessor", "VaeImageProcessor"]


class IPAdapterMaskProcessor(VaeImageProcessor):
    """Turns pictures into masks for IP-Adapters: 1 where they are at least half bright."""

    def __new__(cls, do_resize=True, vae_scale_factor=8, resample="lanczos", do_normalize=False, do_binarize=True,
                do_convert_grayscale=True):
        return super().__new__(cls, do_resize=do_resize, vae_scale_factor=vae_scale_factor, resample=resample,
                               do_normalize=do_normalize, do_binarize=do_binarize,
                               do_convert_grayscale=do_convert_grayscale)
