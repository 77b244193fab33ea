"""Attributes of pipelines that follow from their class, their parts and the last call, with the values that they have in diffusers."""

from .image_processor import VaeImageProcessor

#: Pipelines whose transformers take positions of the latents in patches of two by two.
PACKED = ("Chroma", "Flux", "Lumina2", "QwenImage", "ZImage")
#: Those that know the number of channels of the latents.
WITH_LATENT_CHANNELS = frozenset({
    "ChromaImg2ImgPipeline", "ChromaInpaintPipeline", "Flux2KleinInpaintPipeline", "FluxFillPipeline", "FluxImg2ImgPipeline",
    "FluxInpaintPipeline", "FluxKontextInpaintPipeline", "FluxKontextPipeline", "QwenImageEditInpaintPipeline",
    "QwenImageEditPipeline", "QwenImageEditPlusPipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline",
    "QwenImageLayeredPipeline",
})
#: Those whose image processors recognise latents by that number.
RECOGNISING = frozenset({
    "Flux2KleinInpaintPipeline", "FluxControlPipeline", "FluxFillPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline",
    "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline",
})
#: Those whose mask processors do.
RECOGNISING_MASKS = frozenset({
    "ChromaInpaintPipeline", "Flux2KleinInpaintPipeline", "FluxControlInpaintPipeline", "FluxControlNetInpaintPipeline",
    "FluxFillPipeline", "FluxInpaintPipeline", "FluxKontextInpaintPipeline", "QwenImageEditInpaintPipeline",
    "QwenImageInpaintPipeline", "StableDiffusion3InpaintPipeline",
})
#: Those whose image processors turn pictures into RGB.
IN_RGB = frozenset({
    "StableDiffusion3ControlNetInpaintingPipeline", "StableDiffusionControlNetImg2ImgPipeline", "StableDiffusionControlNetPipeline",
    "StableDiffusionXLControlNetImg2ImgPipeline", "StableDiffusionXLControlNetPipeline",
    "StableDiffusionXLControlNetUnionImg2ImgPipeline", "StableDiffusionXLControlNetUnionPipeline",
})
WITH_BICUBIC = frozenset({"StableDiffusionLatentUpscalePipeline", "StableDiffusionUpscalePipeline"})
#: Pipelines of Stable Diffusion XL that know the size of their UNet's samples.
XL_WITH_SAMPLE_SIZE = frozenset({
    "StableDiffusionXLAdapterPipeline", "StableDiffusionXLInstructPix2PixPipeline", "StableDiffusionXLPipeline",
})

#: The order in which `enable_model_cpu_offload` of diffusers moves the models, and the pipelines that have it, by name or by its begin.
TO_UNET, TO_TRANSFORMER = "unet->vae", "transformer->vae"
ORDERS = (
    ("text_encoder->text_encoder_2->text_encoder_3->" + TO_TRANSFORMER, ("StableDiffusion3PAG",)),
    ("text_encoder->text_encoder_2->text_encoder_3->image_encoder->" + TO_TRANSFORMER, ("StableDiffusion3",)),
    ("text_encoder->text_encoder_2->" + TO_UNET, (
        "StableDiffusionXLInstructPix2Pix", "StableDiffusionXLControlNetInpaint", "StableDiffusionXLControlNetUnionInpaint")),
    ("text_encoder->text_encoder_2->image_encoder->" + TO_UNET, ("StableDiffusionXL",)),
    ("text_encoder->adapter->" + TO_UNET, ("StableDiffusionAdapter",)),
    ("text_encoder->" + TO_UNET, (
        "LatentConsistency", "StableDiffusionDepth2Img", "StableDiffusionUpscale", "StableDiffusionInstructPix2Pix",
        "StableDiffusionControlNetImg2Img", "StableDiffusionLatentUpscale")),
    ("text_encoder->image_encoder->" + TO_UNET, ("StableDiffusion",)),
    ("text_encoder->" + TO_TRANSFORMER, ("AuraFlow", "Flux2", "Lumina2", "PixArt", "QwenImage", "ZImage")),
    ("text_encoder->controlnet->" + TO_TRANSFORMER, ("SanaControlNet",)),
    ("text_encoder->" + TO_TRANSFORMER, ("Sana",)),
    ("text_encoder->text_encoder_2->" + TO_TRANSFORMER, (
        "FluxControlPipeline", "FluxControlImg2Img", "FluxControlInpaint", "FluxControlNetImg2Img", "FluxControlNetInpaint", "FluxFill",
        "HunyuanDiT")),
    ("text_encoder->text_encoder_2->image_encoder->" + TO_TRANSFORMER, ("ChromaInpaint", "Flux")),
    ("text_encoder->image_encoder->" + TO_TRANSFORMER, ("Chroma",)),
    (TO_TRANSFORMER, ("DiT",)),
    ("unet", ("ConsistencyModel", "DDIM", "DDPM", "RePaint")),
)


def offload_order(class_name):
    """The order in which diffusers moves the models of a class between devices; `None` where it has none."""
    return next((order for order, begins in ORDERS if class_name.startswith(begins)), None)


def _of_call(name, about):
    """An attribute with the value that an argument of the current or the last call has; `None` before the first call."""

    def value(self):
        if name not in self._arguments:
            raise AttributeError(name)
        return self._called_with.get(name)

    value.__doc__ = about
    return property(value)


#: The names that families have for the same dictionary.
ATTENTION_ARGUMENTS = {
    "cross_attention_kwargs": ("LatentConsistency", "StableDiffusion"),
    "joint_attention_kwargs": ("Chroma", "Flux", "StableDiffusion3", "ZImage"),
    "attention_kwargs": ("AuraFlow", "Flux2", "Lumina2", "QwenImage", "Sana"),
}


def _attention_arguments(name):
    def value(self):
        # The longest begin that fits: `Flux2` rather than `Flux`.
        begins = [(len(begin), kind) for kind, several in ATTENTION_ARGUMENTS.items() for begin in several
                  if self._class_name.startswith(begin)]
        if not begins or max(begins)[1] != name:
            raise AttributeError(name)
        return self._called_with.get(name)

    value.__doc__ = f"What the current or the last call was given as `{name}`."
    return property(value)


class PipelineAttributes:
    """What pipelines tell about themselves."""

    @property
    def vae_scale_factor(self):
        """How many pixels one position of the latents stands for, in each direction."""
        if not isinstance(self.config.get("vae"), list):
            raise AttributeError("vae_scale_factor")
        vae = self._parts.get("vae")
        if vae is None or self._class_name == "Lumina2Pipeline":
            return 32 if self._class_name.startswith("Sana") and "PAG" not in self._class_name else 8
        config = vae.config
        if "temperal_downsample" in config:
            return 2 ** len(config["temperal_downsample"])
        # Every block but the last halves the sides; some autoencoders have other names for them.
        blocks = config.get("block_out_channels") or config["encoder_block_out_channels"]
        return 2 ** (len(blocks) - 1)

    @property
    def image_processor(self):
        """What turns images into tensors for the autoencoder, and back."""
        values = {"vae_scale_factor": self._pixels(), **self._channels(RECOGNISING)}
        if self._class_name.startswith("Flux2") or self._class_name == "ZImageOmniPipeline":
            values = {"vae_latent_channels": 32, **values, "do_convert_rgb": True}
        if self._class_name in IN_RGB:
            values["do_convert_rgb"] = True
        if self._class_name in WITH_BICUBIC:
            values["resample"] = "bicubic"
        return VaeImageProcessor(**values)

    @property
    def mask_processor(self):
        """What turns masks into tensors: `pipeline.mask_processor.blur(mask, blur_factor=12)`."""
        name = self._class_name
        if "Inpaint" not in name and name != "FluxFillPipeline":
            raise AttributeError("mask_processor")
        pixels = self.vae_scale_factor if name == "ZImageControlNetInpaintPipeline" else self._pixels()
        return VaeImageProcessor(vae_scale_factor=pixels, do_normalize=False, do_binarize=True, do_convert_grayscale=True,
                                 **self._channels(RECOGNISING_MASKS))

    @property
    def control_image_processor(self):
        """What turns the images for a ControlNet into tensors."""
        if not self._class_name.startswith(("StableDiffusionControlNet", "StableDiffusionXLControlNet")):
            raise AttributeError("control_image_processor")
        return VaeImageProcessor(vae_scale_factor=self.vae_scale_factor, do_convert_rgb=True, do_normalize=False)

    def _pixels(self):
        return self.vae_scale_factor * (2 if self._class_name.startswith(PACKED) else 1)

    def _channels(self, recognising):
        return {"vae_latent_channels": self._latent_channels()} if self._class_name in recognising else {}

    def _latent_channels(self):
        vae = self._parts.get("vae")
        if vae is None:
            return 32 if self._class_name.startswith("Flux2") else 16
        return vae.config.get("latent_channels") or vae.config["z_dim"]

    @property
    def latent_channels(self):
        """The number of channels of the latents."""
        if self._class_name not in WITH_LATENT_CHANNELS:
            raise AttributeError("latent_channels")
        return self._latent_channels()

    @property
    def default_sample_size(self):
        """The sides of the latents of a call without `height` and `width`, before the transformer's patches."""
        name = self._class_name
        if name.startswith(("HunyuanDiT", "Lumina2", "StableDiffusion3")):
            return self._configured("transformer", "sample_size", 128)
        if name in XL_WITH_SAMPLE_SIZE:
            return self._configured("unet", "sample_size", 128)
        if name.startswith(("Chroma", "Flux", "QwenImage")):
            return 128
        raise AttributeError("default_sample_size")

    @property
    def default_image_size(self):
        """The sides of the images of a call without `height` and `width`."""
        if self._class_name != "Lumina2Pipeline":
            raise AttributeError("default_image_size")
        return self.default_sample_size * self.vae_scale_factor

    @property
    def patch_size(self):
        """The sides of the patches of latents that the transformer takes."""
        if not self._class_name.startswith("StableDiffusion3") or self._class_name == "StableDiffusion3ControlNetPipeline":
            raise AttributeError("patch_size")
        return self._configured("transformer", "patch_size", 2)

    @property
    def tokenizer_max_length(self):
        """The largest number of tokens of a prompt; of a CLIP's, where the pipeline has one."""
        name = self._class_name
        if name.startswith(("Flux2", "QwenImage")):
            return 512 if name.startswith("Flux2") else 1024
        if name.startswith(("Flux", "StableDiffusion3")):
            return self._configured("text_encoder", "max_position_embeddings", 77)
        raise AttributeError("tokenizer_max_length")

    def _configured(self, part, name, default):
        part = self._parts.get(part)
        return default if part is None else part.config.get(name, default)

    @property
    def num_timesteps(self):
        """The number of timesteps of the current or the last run."""
        return self._num_timesteps

    @property
    def current_timestep(self):
        """The timestep of the step that the current call has done last; `None` between calls."""
        if not self._class_name.startswith(("Chroma", "Flux", "QwenImage")):
            raise AttributeError("current_timestep")
        return self._current_timestep

    @property
    def guidance_scale(self):
        """How strongly the current or the last call follows the text."""
        return self._guidance_scale

    @property
    def clip_skip(self):
        """How many layers of the text encoder the current or the last call skips."""
        return self._clip_skip

    @property
    def do_classifier_free_guidance(self):
        """Whether the current or the last call computes a prediction without the text, too."""
        name, scale = self._class_name, self._guidance_scale
        if scale is None or name.startswith("LatentConsistency"):
            return False
        if name.startswith("ZImage"):
            return scale > 0
        if name.startswith("Flux2Klein") and self.config.get("is_distilled"):
            return False
        if name == "StableDiffusionInstructPix2PixPipeline":
            return scale > 1 and self._called_with["image_guidance_scale"] >= 1
        return scale > 1 and self._configured("unet", "time_cond_proj_dim", None) is None

    guidance_rescale = _of_call("guidance_rescale", "How far the last call corrects over-exposed images.")
    image_guidance_scale = _of_call("image_guidance_scale", "How strongly the last call keeps to the image.")
    denoising_start = _of_call("denoising_start", "The fraction of the denoising that the last call left out at its begin.")
    denoising_end = _of_call("denoising_end", "The fraction of the denoising after which the last call stopped.")
    pag_scale = _of_call("pag_scale", "How strongly the last call moves away from the prediction with perturbed attention.")
    pag_adaptive_scale = _of_call("pag_adaptive_scale", "How much `pag_scale` declines during the last call.")
    skip_guidance_layers = _of_call("skip_guidance_layers", "The layers that a further prediction of the last call skips.")
    cross_attention_kwargs = _attention_arguments("cross_attention_kwargs")
    joint_attention_kwargs = _attention_arguments("joint_attention_kwargs")
    attention_kwargs = _attention_arguments("attention_kwargs")

    @property
    def do_perturbed_attention_guidance(self):
        """Whether the last call computes a prediction with perturbed attention, too."""
        return (self.pag_scale or 0) > 0 and self.__dict__.get("pag_applied_layers") != []

    @property
    def do_pag_adaptive_scaling(self):
        """Whether `pag_scale` declines during the last call."""
        return self.do_perturbed_attention_guidance and (self.pag_adaptive_scale or 0) > 0

    @property
    def lora_scale(self):
        """The factor of LoRAs that a call was given last; 1 without any."""
        return self.__dict__.get("_lora_scale", 1.0)


#: The arguments of a call that attributes give.
OF_CALLS = ("guidance_rescale", "image_guidance_scale", "denoising_start", "denoising_end", "pag_scale", "pag_adaptive_scale",
            "skip_guidance_layers")
