"""What diffusers has and this package does not, or what needs nothing here."""

#: How the names of diffusers' classes end. Those that this package lacks raise `NotImplementedError` when they are imported.
CLASS_ENDINGS = ("Pipeline", "Scheduler", "Schedulers", "Schedules", "Model", "Processor", "Processor2_0", "Adapter", "Mixin",
                 "2D", "3D", "Config", "Callback", "Output", "KL", "VAE")

#: Those of the libraries that diffusers quantises with.
QUANTIZATION_CONFIGS = frozenset({
    "AutoRoundConfig", "BFLQuantizationConfig", "BitsAndBytesConfig", "NVIDIAModelOptConfig", "NunchakuLiteQuantizationConfig",
    "QuantoConfig", "SDNQConfig", "TorchAoConfig",
})

#: Methods of pipelines that raise `NotImplementedError`.
PIPELINE_METHODS = (
    "fuse_qkv_projections", "unfuse_qkv_projections", "encode_prompt", "encode_image", "prepare_latents",
    "run_safety_checker", "check_inputs", "download", "enable_layerwise_casting", "enable_group_offload", "push_to_hub",
    "set_lora_device", "save_lora_weights", "unload_textual_inversion", "upcast_vae", "numpy_to_pil", "register_modules",
    "enable_cache", "decode_latents", "save_config", "load_config", "from_config", "get_timesteps",
    "prepare_extra_step_kwargs", "get_guidance_scale_embedding", "lora_state_dict", "register_to_config",
)
#: Methods of models that raise `NotImplementedError`.
MODEL_METHODS = (
    "parameters", "named_parameters", "modules", "named_modules", "children", "state_dict", "load_state_dict",
    "register_forward_hook", "apply", "attn_processors", "get_memory_footprint", "set_attn_processor", "set_default_attn_processor", "enable_freeu", "disable_freeu",
    "fuse_qkv_projections", "unfuse_qkv_projections", "enable_gradient_checkpointing", "add_adapter",
    "load_lora_adapter", "save_lora_adapter", "load_attn_procs", "save_attn_procs", "enable_layerwise_casting",
    "enable_group_offload", "push_to_hub", "from_transformer",
)
#: Attributes of diffusers' models that are layers, or values that follow from the configuration. Here the library holds them.
MODEL_ATTRIBUTES = frozenset({
    "adaln_single", "adapter", "add_control_noise_refiner", "add_embedding", "add_time_proj", "all_f_patch_size",
    "all_final_layer", "all_patch_size", "all_x_embedder", "attention_head_dim", "axes_dims", "axes_lens", "backbone", "blocks",
    "bn", "cap_embedder", "cap_pad_token", "caption_norm", "caption_projection", "class_embedding", "context_embedder",
    "context_refiner", "control_add_embedding", "control_all_x_embedder", "control_in_dim", "control_layers",
    "control_layers_places", "control_noise_refiner", "control_refiner_layers_places", "control_type_proj", "controlnet_blocks",
    "controlnet_cond_embedding", "controlnet_down_blocks", "controlnet_mid_block", "controlnet_single_blocks",
    "controlnet_x_embedder", "conv_act", "conv_in", "conv_norm_out", "conv_out", "decoder", "dim", "distilled_guidance_layer",
    "double_stream_modulation_img", "double_stream_modulation_txt", "down_blocks", "dpt", "embed_tokens", "embeddings", "encoder",
    "encoder_hid_proj", "eos_token_id", "final_layer_norm", "gradient_checkpointing", "has_sliding_layers", "head", "height",
    "img_in", "in_channels", "inner_dim", "input_block", "input_hint_block", "joint_transformer_blocks", "latent_magnitude",
    "latent_shift", "layers", "lm_head", "mid_block", "model", "n_heads", "neck", "noise_refiner", "norm", "norm_out",
    "num_heads", "num_upsamplers", "original_attn_processors", "out_channels", "padding_idx", "patch_embed", "patch_size",
    "pooler", "pos_embed", "pos_embed_input", "position_net", "post_layernorm", "post_quant_conv", "proj_out", "proj_out_1",
    "proj_out_2", "quant_conv", "redux_down", "redux_up", "register_tokens", "rope_embedder", "rope_theta", "rotary_emb",
    "sample_size", "scale_shift_table", "scaling_factor", "shared", "siglip_embedder", "siglip_pad_token", "siglip_refiner",
    "single_stream_modulation", "single_transformer_blocks", "spatial_ch_projs", "spatial_compression_ratio",
    "spatial_scale_factor", "t_embedder", "t_scale", "task_embedding", "temperal_downsample", "temperal_upsample",
    "temporal_compression_ratio", "text_embedder", "text_embedding_padding", "text_model", "text_projection",
    "time_caption_embed", "time_embed", "time_embed_act", "time_embedding", "time_extra_emb", "time_guidance_embed", "time_proj",
    "time_step_embed", "time_step_proj", "time_text_embed", "training", "transformer_blocks", "transformer_layes", "txt_in",
    "txt_norm", "union", "up_blocks", "use_additional_conditions", "use_head", "vision_model", "visual_projection", "vocab_size",
    "width", "x_embedder", "x_pad_token", "z_dim", "zero_cond_t",
})
#: Attributes that calls of diffusers' pipelines read.
READ_BY_DIFFUSERS = frozenset({
    "image_caption_prompt_cn", "image_caption_prompt_en", "padding_side", "prompt_template_encode", "prompt_template_encode_start_idx",
    "system_message", "system_message_upsampling_i2i", "system_message_upsampling_t2i", "system_prompt", "upsampling_max_image_size",
    "vl_processor", "watermark",
})
#: Methods of schedulers that raise `NotImplementedError`.
SCHEDULER_METHODS = ("convert_model_output", "push_to_hub")

#: What diffusers' schedulers remember as attributes. Here the library holds it, so that it can be neither read nor set.
SCHEDULER_STATE = frozenset({
    "model_outputs", "timestep_list", "lower_order_nums", "ets", "counter", "cur_model_output", "cur_sample", "derivatives",
    "dt", "prev_derivative", "last_sample", "last_noise", "this_order", "this_predictor_order", "this_corrector_order",
    "order_list", "noise_sampler", "custom_timesteps", "is_scale_input_called", "discrete_sigmas", "solver_p", "variance_type",
    "_shift", "log_sigmas", "sigmas_interpol", "sigmas_up", "sigmas_down", "disable_corrector", "tau_func",
})
#: Attributes of schedulers that follow from their configuration and from `set_timesteps`.
COMPUTED_BY_SCHEDULERS = frozenset({
    "timesteps", "sigmas", "betas", "alphas", "alphas_cumprod", "final_alpha_cumprod", "initial_alpha_cumprod",
    "init_noise_sigma", "num_inference_steps", "order", "config", "step_index", "begin_index", "alpha_t", "sigma_t",
    "lambda_t", "sigma_min", "sigma_max", "prk_timesteps", "plms_timesteps", "shift", "compatibles",
})

#: Arguments of calls that are accepted as `None`.
UNSUPPORTED_ARGUMENTS = frozenset({
    "ip_adapter_image", "ip_adapter_image_embeds", "callback", "callback_steps", "cross_attention_kwargs",
    "original_inference_steps", "pooled_prompt_embeds", "negative_pooled_prompt_embeds", "denoising_start",
    "denoising_end", "guidance_rescale", "timesteps", "sigmas", "joint_attention_kwargs", "attention_kwargs",
})


def refuses(*names):
    """A decorator of classes: calls of the methods of these `names` say that they do not exist here."""

    def add(kind):
        for name in names:
            setattr(kind, name, _Refused(name))
        return kind

    return add


def refuse_override(part, name, what):
    """Refuses to replace a method of a part, since the pipeline, which the library runs, would not call the new one."""
    if callable(getattr(type(part), name, None)):
        raise NotImplementedError(f"`{name}` of a {what} cannot be replaced: the library would not call it")


def refuse_overrides(part):
    """Refuses a part of a class of the program's own that replaces methods of a registered class, for the same reason."""
    registered = next((kind for kind in type(part).__mro__ if kind.__dict__.get("_class_name")), None)
    if registered is None:
        return
    for kind in type(part).__mro__[:type(part).__mro__.index(registered)]:
        for name, value in vars(kind).items():
            if callable(value) and not name.startswith("__") and hasattr(registered, name):
                raise NotImplementedError(
                    f"a {kind.__name__} replaces `{name}` of {registered.__name__}: the pipeline would not call it"
                )


class _Refused:
    """A method that does not exist here, of a class or of one of its objects."""

    def __init__(self, name):
        self.name = name

    def __get__(self, owner, kind=None):
        def refused(*args, **kwargs):
            raise NotImplementedError(f"`{kind.__name__}.{self.name}` is not supported by oxidiff")

        return refused
