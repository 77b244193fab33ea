"""The image processors, where diffusers has them: `from oxidiff.image_processor import VaeImageProcessor`."""

from . import _oxidiff
from ._config import FrozenDict

__all__ = ["IPAdapterMaskProcessor", "VaeImageProcessor"]


class VaeImageProcessor:
    """Turns images into tensors for an autoencoder, and decoded tensors back into images."""

    config_name = "config.json"

    def __init__(self, do_resize=True, vae_scale_factor=8, vae_latent_channels=4, resample="lanczos", reducing_gap=None,
                 do_normalize=True, do_binarize=False, do_convert_rgb=False, do_convert_grayscale=False):
        if do_convert_rgb and do_convert_grayscale:
            raise ValueError("`do_convert_rgb` and `do_convert_grayscale` exclude each other")
        values = dict(do_resize=do_resize, vae_scale_factor=vae_scale_factor, vae_latent_channels=vae_latent_channels,
                      resample=resample, reducing_gap=reducing_gap, do_normalize=do_normalize, do_binarize=do_binarize,
                      do_convert_rgb=do_convert_rgb, do_convert_grayscale=do_convert_grayscale)
        self._core = _oxidiff.VaeImageProcessor(**values)
        self._config = FrozenDict(values, _class_name=type(self).__name__)

    @property
    def config(self):
        """What the processor was made with: a mapping that cannot be changed."""
        return self._config

    def preprocess(self, image, height=None, width=None, resize_mode="default", crops_coords=None):
        """The values of images, `[batch, channels, height, width]`: in [-1, 1], or in [0, 1] without `do_normalize`."""
        return self._core.preprocess(image, height, width, resize_mode, crops_coords)

    def postprocess(self, image, output_type="pil", do_denormalize=None):
        """Decoded images, `[batch, channels, height, width]`, as images of Pillow (`"pil"`), an array of numpy (`"np"`,
        `[batch, height, width, channels]`) or a tensor (`"pt"`)."""
        return self._core.postprocess(image, output_type, do_denormalize)

    @staticmethod
    def blur(image, blur_factor=4):
        """A picture or mask of Pillow, blurred by a Gaussian of this radius."""
        from PIL import ImageFilter

        return image.filter(ImageFilter.GaussianBlur(blur_factor))

    def resize(self, image, height, width, resize_mode="default"):
        """A picture of Pillow in another size: stretched (`"default"`), as a whole on a ground that continues its edges (`"fill"`), or with
        what juts out on two sides left out (`"crop"`)."""
        from PIL import Image

        if not isinstance(image, Image.Image):
            raise NotImplementedError(f"`image`: only pictures of Pillow are resized, not a {type(image).__name__}")
        if resize_mode == "default":
            return self._stretched(image, width, height)
        if resize_mode not in ("crop", "fill"):
            raise ValueError(f"`resize_mode`: there is no mode `{resize_mode}`")
        # The picture fits one side exactly; the other is longer than wanted, or shorter.
        is_narrower = image.width / image.height < width / height
        by_width = is_narrower == (resize_mode == "crop") and image.width * height != width * image.height
        size = (width, image.height * width // image.width) if by_width else (image.width * height // image.height, height)
        inner = self._stretched(image, *size)
        left, top = width // 2 - inner.width // 2, height // 2 - inner.height // 2
        ground = Image.new("RGB", (width, height))
        ground.paste(inner, box=(left, top))
        if resize_mode == "fill":
            _continue_edges(ground, inner, left, top)
        return ground

    def apply_overlay(self, mask, init_image, image, crop_coords=None):
        """The picture `init_image` with `image` in the places that the mask marks. With `crop_coords`, `image` covers that region alone."""
        from PIL import Image, ImageOps

        kept = Image.new("RGBa", init_image.size)
        kept.paste(init_image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
        if crop_coords is not None:
            left, top, right, bottom = crop_coords
            whole = Image.new("RGBA", init_image.size)
            whole.paste(self.resize(image, bottom - top, right - left, "crop"), (left, top))
            image = whole.convert("RGB")
        image = image.convert("RGBA")
        image.alpha_composite(kept.convert("RGBA"))
        return image.convert("RGB")

    def _stretched(self, image, width, height):
        from PIL import Image

        names = {"linear": "BILINEAR"}
        return image.resize((width, height), Image.Resampling[names.get(self._config.resample, self._config.resample.upper())])

    @staticmethod
    def convert_to_rgb(image):
        """A picture of Pillow in RGB."""
        return image.convert("RGB")

    @staticmethod
    def convert_to_grayscale(image):
        """A picture of Pillow in shades of grey."""
        return image.convert("L")

    @staticmethod
    def pil_to_numpy(images):
        """Pictures of Pillow as an array `[batch, height, width, channels]` with values in [0, 1]."""
        import numpy

        images = images if isinstance(images, list) else [images]
        return numpy.stack([numpy.asarray(image).astype(numpy.float32) / 255 for image in images])

    @staticmethod
    def numpy_to_pil(images):
        """Pictures of Pillow for an array `[batch, height, width, channels]` with values in [0, 1], or for that of one picture."""
        from PIL import Image

        images = images[None] if images.ndim == 3 else images
        bytes_ = (images * 255).round().astype("uint8")
        return [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in bytes_]

    @staticmethod
    def numpy_to_pt(images):
        """A tensor `[batch, channels, height, width]` for an array `[batch, height, width, channels]`."""
        images = images[..., None] if images.ndim == 3 else images
        return _oxidiff.imported_like(_oxidiff.Tensor(images).permute(0, 3, 1, 2))

    @staticmethod
    def pt_to_numpy(images):
        """An array of numpy `[batch, height, width, channels]` for a tensor `[batch, channels, height, width]`."""
        return _oxidiff.Tensor(images).permute(0, 2, 3, 1).float().numpy()

    @staticmethod
    def binarize(image):
        """Values of 0 and 1, in place: 1 where the array has at least 0.5."""
        image[image < 0.5] = 0
        image[image >= 0.5] = 1
        return image

    def get_default_height_width(self, image, height=None, width=None):
        """The sides that a picture or an array of pictures gets, which are multiples of `vae_scale_factor`."""
        if hasattr(image, "getbbox"):
            own_height, own_width = image.height, image.width
        else:
            # Arrays of numpy have their channels last.
            is_numpy = type(image).__module__ == "numpy"
            own_height, own_width = image.shape[1:3] if is_numpy else image.shape[2:4]
        sides = (own_height if height is None else height, own_width if width is None else width)
        return tuple(side - side % self._config.vae_scale_factor for side in sides)

    @staticmethod
    def normalize(images):
        """Values in [-1, 1] for values in [0, 1]."""
        return 2.0 * images - 1.0

    @staticmethod
    def denormalize(images):
        """Values in [0, 1] for values in [-1, 1]; those outside are clamped."""
        halves = images * 0.5 + 0.5
        return halves.clip(0, 1) if hasattr(halves, "clip") else halves.clamp(0, 1)

    @staticmethod
    def get_crop_region(mask_image, width, height, pad=0):
        """The region `(x1, y1, x2, y2)` around what a mask of Pillow marks, with `pad` pixels on each side, widened as far as the picture
        reaches to the proportions of `width` and `height`."""
        box = mask_image.convert("L").getbbox()
        if box is None:
            raise ValueError("`mask_image`: marks nothing, so that there is no region around it")
        left, top, right, bottom = box
        x1, y1 = max(left - pad, 0), max(top - pad, 0)
        x2, y2 = min(right + pad, mask_image.width), min(bottom + pad, mask_image.height)
        if (x2 - x1) / (y2 - y1) > width / height:
            y1, y2 = _widened(y1, y2, (x2 - x1) / (width / height), mask_image.height)
        else:
            x1, x2 = _widened(x1, x2, (y2 - y1) * (width / height), mask_image.width)
        return x1, y1, x2, y2

    def __repr__(self):
        return f"{type(self).__name__} {dict(self._config)}\n"


def _continue_edges(ground, inner, left, top):
    """Fills what a picture leaves free of its ground with the pixels at its edges."""
    width, height = inner.size
    if top > 0:
        ground.paste(inner.resize((width, top), box=(0, 0, width, 0)), box=(0, 0))
        ground.paste(inner.resize((width, top), box=(0, height, width, height)), box=(0, top + height))
    elif left > 0:
        ground.paste(inner.resize((left, height), box=(0, 0, 0, height)), box=(0, 0))
        ground.paste(inner.resize((left, height), box=(width, 0, width, height)), box=(left + width, 0))


def _widened(start, end, length, limit):
    """An interval of this length around another one, inside of [0, limit]."""
    missing = int(length - (end - start))
    start -= missing // 2
    end += missing - missing // 2
    if end >= limit:
        start, end = start - (end - limit), limit
    if start < 0:
        start, end = 0, end - start
    return start, min(end, limit)


class IPAdapterMaskProcessor(VaeImageProcessor):
    """Turns pictures into masks for IP-Adapters: 1 where they are at least half bright."""

    def __init__(self, do_resize=True, vae_scale_factor=8, resample="lanczos", do_normalize=False, do_binarize=True,
                 do_convert_grayscale=True):
        super().__init__(do_resize=do_resize, vae_scale_factor=vae_scale_factor, resample=resample, do_normalize=do_normalize,
                         do_binarize=do_binarize, do_convert_grayscale=do_convert_grayscale)
