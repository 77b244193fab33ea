"""Modules where diffusers has them: `from oxidiff.schedulers.scheduling_ddim import DDIMScheduler`.

diffusers has a file for each class. Here every one of those modules holds all that the package holds, made when it is
imported; names that the package lacks raise the same errors as in the package.
"""

import sys
from importlib.machinery import ModuleSpec

SCHEDULERS = (
    "consistency_models", "cosine_dpmsolver_multistep", "ddim", "ddim_inverse", "ddpm", "ddpm_wuerstchen", "deis_multistep",
    "dpmsolver_multistep", "dpmsolver_multistep_inverse", "dpmsolver_sde", "dpmsolver_singlestep",
    "edm_dpmsolver_multistep", "edm_euler", "euler_ancestral_discrete", "euler_discrete", "flow_match_euler_discrete",
    "flow_match_heun_discrete", "flow_match_lcm", "heun_discrete", "ipndm", "k_dpm_2_ancestral_discrete",
    "k_dpm_2_discrete", "lcm", "lms_discrete", "pndm", "repaint", "sasolver", "scm", "sde_ve", "tcd", "unclip",
    "unipc_multistep", "utils",
)
STABLE_DIFFUSION = (
    "stable_diffusion", "stable_diffusion_img2img", "stable_diffusion_inpaint", "stable_diffusion_depth2img",
    "stable_diffusion_upscale", "stable_diffusion_latent_upscale", "stable_diffusion_instruct_pix2pix",
)
STABLE_DIFFUSION_XL = tuple(
    name.replace("stable_diffusion", "stable_diffusion_xl") for name in STABLE_DIFFUSION[:3] + STABLE_DIFFUSION[-1:]
)
LATENT_CONSISTENCY = ("latent_consistency_text2img", "latent_consistency_img2img")
#: The modules of each folder of pipelines.
PIPELINES = {
    "stable_diffusion": STABLE_DIFFUSION, "stable_diffusion_xl": STABLE_DIFFUSION_XL,
    "latent_consistency_models": LATENT_CONSISTENCY, "ddpm": ("ddpm",), "ddim": ("ddim",), "dit": ("dit",),
    "consistency_models": ("consistency_models",),
    "controlnet": ("controlnet", "controlnet_img2img", "controlnet_inpaint", "controlnet_sd_xl", "controlnet_sd_xl_img2img",
                   "controlnet_inpaint_sd_xl", "controlnet_union_sd_xl", "controlnet_union_sd_xl_img2img",
                   "controlnet_union_inpaint_sd_xl"),
    "t2i_adapter": ("stable_diffusion_adapter", "stable_diffusion_xl_adapter"),
    "aura_flow": ("aura_flow",), "hunyuandit": ("hunyuandit",), "lumina2": ("lumina2",),
    "chroma": ("chroma", "chroma_img2img", "chroma_inpainting"),
    "controlnet_hunyuandit": ("hunyuandit_controlnet",),
    "controlnet_sd3": ("stable_diffusion_3_controlnet", "stable_diffusion_3_controlnet_inpainting"),
    "flux": ("flux", "flux_control", "flux_control_img2img", "flux_control_inpaint", "flux_controlnet",
             "flux_controlnet_image_to_image", "flux_controlnet_inpainting", "flux_fill", "flux_img2img", "flux_inpaint",
             "flux_kontext", "flux_kontext_inpaint", "flux_prior_redux"),
    "flux2": ("flux2", "flux2_klein", "flux2_klein_inpaint", "flux2_klein_kv"),
    "pag": ("pag_hunyuandit", "pag_pixart_sigma", "pag_sana", "pag_sd_3", "pag_sd_3_img2img"),
    "pixart_alpha": ("pixart_alpha", "pixart_sigma"),
    "qwenimage": ("qwenimage", "qwenimage_controlnet", "qwenimage_controlnet_inpaint", "qwenimage_edit", "qwenimage_edit_inpaint",
                  "qwenimage_edit_plus", "qwenimage_img2img", "qwenimage_inpaint", "qwenimage_layered"),
    "sana": ("sana", "sana_controlnet", "sana_sprint", "sana_sprint_img2img"),
    "stable_diffusion_3": ("stable_diffusion_3", "stable_diffusion_3_img2img", "stable_diffusion_3_inpaint"),
    "z_image": ("z_image", "z_image_controlnet", "z_image_controlnet_inpaint", "z_image_img2img", "z_image_inpaint", "z_image_omni"),
}
CONTROLNETS = ("controlnet", "controlnet_flux", "controlnet_hunyuan", "controlnet_qwenimage", "controlnet_sana", "controlnet_sd3",
               "controlnet_union", "controlnet_z_image", "multicontrolnet", "multicontrolnet_union")
TRANSFORMERS = ("auraflow_transformer_2d", "dit_transformer_2d", "hunyuan_transformer_2d", "pixart_transformer_2d", "sana_transformer",
                "transformer_chroma", "transformer_flux", "transformer_flux2", "transformer_lumina2", "transformer_qwenimage",
                "transformer_sd3", "transformer_z_image")
MODELS = ("adapter", "attention_processor", "auto_model", "autoencoders", "autoencoders.autoencoder_dc", "autoencoders.autoencoder_kl",
          "autoencoders.autoencoder_kl_flux2", "autoencoders.autoencoder_kl_qwenimage", "autoencoders.autoencoder_tiny",
          "autoencoders.vae", "controlnet", "controlnet_flux", "controlnet_sd3", "controlnets", "modeling_outputs", "modeling_utils",
          "transformers", "unets", "unets.unet_2d", "unets.unet_2d_condition",
          *(f"controlnets.{name}" for name in CONTROLNETS), *(f"transformers.{name}" for name in TRANSFORMERS))

NAMES = frozenset({
    "callbacks", "configuration_utils", "loaders", "pipelines.pipeline_utils", "pipelines.auto_pipeline",
    "pipelines.stable_diffusion.safety_checker",
    *(f"pipelines.{family}.pipeline_output" for family in PIPELINES), "quantizers", "quantizers.pipe_quant_config",
    "quantizers.quantization_config",
    *(f"schedulers.scheduling_{name}" for name in SCHEDULERS),
    *(f"pipelines.{family}" for family in PIPELINES),
    *(f"pipelines.{family}.pipeline_{name}" for family, names in PIPELINES.items() for name in names),
    *(f"models.{name}" for name in MODELS),
})


class Finder:
    """Finds the modules for Python's `import`."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.removeprefix("oxidiff.") in NAMES and name.startswith("oxidiff."):
            return ModuleSpec(name, cls, is_package=True)
        return None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        module.__doc__ = "See `oxidiff`, which has everything that this module has."
        module.__all__ = [name for name in sys.modules["oxidiff"].__all__ if not name.startswith("__")]
        module.__getattr__ = find
        module.__dir__ = lambda: sorted({*module.__dict__, *module.__all__})


def find(name):
    """What diffusers has in one of its modules."""
    if name.startswith("__"):
        raise AttributeError(name)
    from . import _outputs

    package = sys.modules["oxidiff"]
    if name in package.__all__:
        return getattr(package, name)
    if name.endswith("SchedulerOutput"):
        # There is one for each class in diffusers, all with the same fields.
        return _outputs.SchedulerOutput
    if name.endswith("PipelineOutput") and hasattr(_outputs, name):
        return getattr(_outputs, name)
    return getattr(package, name)


if Finder not in sys.meta_path:
    sys.meta_path.append(Finder)
