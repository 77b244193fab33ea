"""What diffusers has and this package does not, or what needs nothing here."""

#: How the names of diffusers' classes end. Those that this package lacks raise `NotImplementedError` when they are imported.
CLASS_ENDINGS = ("Pipeline", "Scheduler", "Model", "Processor", "Adapter", "Mixin", "2D", "3D", "Config")

#: Methods that raise `NotImplementedError`.
UNSUPPORTED_METHODS = frozenset({
    "enable_freeu", "disable_freeu", "fuse_qkv_projections", "unfuse_qkv_projections", "load_ip_adapter",
    "unload_ip_adapter", "set_ip_adapter_scale", "encode_prompt", "encode_image", "prepare_latents",
    "run_safety_checker", "check_inputs", "download", "enable_layerwise_casting", "enable_group_offload", "push_to_hub",
    "set_lora_device", "save_lora_weights", "unload_textual_inversion", "upcast_vae", "numpy_to_pil", "register_modules",
    "enable_cache",
})

#: Arguments of calls that are accepted as `None`.
UNSUPPORTED_ARGUMENTS = frozenset({
    "ip_adapter_image", "ip_adapter_image_embeds", "callback", "callback_steps", "cross_attention_kwargs",
    "original_inference_steps", "pooled_prompt_embeds", "negative_pooled_prompt_embeds", "denoising_start",
    "denoising_end", "guidance_rescale", "timesteps", "sigmas", "joint_attention_kwargs", "attention_kwargs",
})


def refuse(class_name, name):
    """A function that says that a method does not exist here."""

    def refused(*args, **kwargs):
        raise NotImplementedError(f"`{class_name}.{name}` is not supported by oxidiff")

    return refused
