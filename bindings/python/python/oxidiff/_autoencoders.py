"""Autoencoders: what they do besides being called, and the distribution of latents."""

import math

from . import _oxidiff
from ._outputs import AutoencoderKLOutput, AutoencoderTinyOutput, DecoderOutput, EncoderOutput


class AutoencoderMixin:
    """What autoencoders do besides being called."""

    def encode(self, x, return_dict=True):
        """Encodes images `[batch, channels, height, width]` with values in [-1, 1] as latents."""
        mean, logvar = self._core.encode(x)
        if logvar is None:
            output = EncoderOutput if self._class_name == "AutoencoderDC" else AutoencoderTinyOutput
            return output(mean) if return_dict else (mean,)
        distribution = DiagonalGaussianDistribution(mean, logvar)
        return AutoencoderKLOutput(distribution) if return_dict else (distribution,)

    def decode(self, z, return_dict=True, generator=None):
        """Decodes latents `[batch, channels, height, width]` to images with values in about [-1, 1]."""
        sample = self._core.decode(z)
        return DecoderOutput(sample) if return_dict else (sample,)

    def enable_tiling(self, use_tiling=True, **sizes):
        """Encodes and decodes large images in overlapping tiles, so that memory does not grow with their size. The sizes of tiles are
        those of the class."""
        if self._class_name in BY_SIDES and not isinstance(use_tiling, bool):
            raise NotImplementedError("`tile_sample_min_height`: the sizes of tiles are those of the class")
        for name, value in sizes.items():
            if name not in self._tile_sizes() or self._class_name not in BY_SIDES:
                raise TypeError(f"{self._class_name}.enable_tiling() got an unexpected keyword argument '{name}'")
            if value is not None:
                self._keep_tile_size(name, value)
        self._core.set_parts(tiling=use_tiling)
        self.__dict__["_use_tiling"] = use_tiling
        self._changes += 1

    def disable_tiling(self):
        """Encodes and decodes whole images."""
        self.enable_tiling(False)

    def enable_slicing(self):
        """Encodes and decodes the images of a batch one by one."""
        self._slice(True)

    def disable_slicing(self):
        """Encodes and decodes whole batches."""
        self._slice(False)

    def _slice(self, use_slicing):
        self._core.set_parts(slicing=use_slicing)
        self.__dict__["_use_slicing"] = use_slicing
        self._changes += 1

    @property
    def use_tiling(self):
        """Whether large images are encoded and decoded in tiles."""
        return self.__dict__.get("_use_tiling", False)

    @use_tiling.setter
    def use_tiling(self, use_tiling):
        self.enable_tiling(bool(use_tiling))

    @property
    def use_slicing(self):
        """Whether the images of a batch are encoded and decoded one by one."""
        return self.__dict__.get("_use_slicing", False)

    @use_slicing.setter
    def use_slicing(self, use_slicing):
        self._slice(bool(use_slicing))

    def _tile_sizes(self):
        """The sizes of tiles, by the names that diffusers has for them."""
        config = self.config
        if self._class_name in BY_SIDES:
            pixels, stride = BY_SIDES[self._class_name]
            scale = 2 ** (len(config.get("temperal_downsample") or config["encoder_block_out_channels"][1:]))
            sizes = {"tile_sample_min": pixels, "tile_sample_stride": stride, "tile_latent_min": pixels // scale}
            return {f"{name}_{side}": size for name, size in sizes.items() for side in ("height", "width")}
        if self._class_name == "AutoencoderTiny":
            return {"tile_sample_min_size": 512, "tile_latent_min_size": 64, "tile_overlap_factor": 0.125}
        sample = config["sample_size"]
        side = sample[0] if isinstance(sample, (list, tuple)) else sample
        return {"tile_sample_min_size": sample, "tile_latent_min_size": side // 2 ** (len(config["block_out_channels"]) - 1),
                "tile_overlap_factor": 0.25}

    def _keep_tile_size(self, name, value):
        if value != self._tile_sizes()[name]:
            raise NotImplementedError(f"`{name}={value!r}` is not supported: the tiles of the {self._class_name} have {self._tile_sizes()[name]}")

    def __setattr__(self, name, value):
        if name.startswith("tile_") and name in self._tile_sizes():
            self._keep_tile_size(name, value)
        elif name in ("use_tiling", "use_slicing"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name):
        if name.startswith("tile_") and name in self._tile_sizes():
            return self._tile_sizes()[name]
        return super().__getattr__(name)


#: Autoencoders whose tiles have a height and a width of their own: how many pixels they have, and how many lie between their beginnings.
BY_SIDES = {"AutoencoderDC": (512, 448), "AutoencoderKLQwenImage": (256, 192)}


class DiagonalGaussianDistribution:
    """The distribution of the latents of images: a mean and a variance at each position."""

    def __init__(self, mean, logvar):
        self.mean = mean
        self.logvar = logvar
        # Computed with this package's tensors, whatever the kind of the arrays.
        self._mean, self._logvar = _oxidiff.Tensor(mean), _oxidiff.Tensor(logvar)

    @property
    def std(self):
        """The standard deviation at each position."""
        return _oxidiff.like((self._logvar * 0.5).exp(), self.mean)

    @property
    def var(self):
        """The variance at each position."""
        return _oxidiff.like(self._logvar.exp(), self.mean)

    def sample(self, generator=None):
        """Draws latents."""
        noise = _oxidiff.randn(*self._mean.shape, generator=generator, dtype=self._mean.dtype)
        return _oxidiff.like(self._mean + (self._logvar * 0.5).exp() * noise, self.mean)

    def mode(self):
        """The most likely latents."""
        return self.mean

    @property
    def parameters(self):
        """Mean and logarithm of the variance, one after the other along the channels."""
        return _oxidiff.like(_oxidiff.cat([self._mean, self._logvar], 1), self.mean)

    def kl(self, other=None):
        """The Kullback-Leibler divergence from another distribution, by default from the standard normal one, for each image."""
        if other is None:
            terms = self._mean * self._mean + self._logvar.exp() - 1.0 - self._logvar
        else:
            distance, variance = self._mean - other._mean, other._logvar.exp()
            terms = distance * distance / variance + self._logvar.exp() / variance - 1.0 - self._logvar + other._logvar
        return _oxidiff.like(terms.flatten(1).sum(1) * 0.5, self.mean)

    def nll(self, sample, dims=(1, 2, 3)):
        """The negative logarithm of the likelihood of latents, summed over these dimensions."""
        distance = _oxidiff.Tensor(sample) - self._mean
        terms = self._logvar + distance * distance / self._logvar.exp() + math.log(2 * math.pi)
        for dim in sorted(dims, reverse=True):
            terms = terms.sum(dim)
        return _oxidiff.like(terms * 0.5, self.mean)
