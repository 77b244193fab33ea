//! ControlNets of any class as one part of a pipeline.

use super::AnyModel;
use crate::error::{Error, Result};
use crate::models::controlnets::{
    ControlNet, ControlNetModel, ControlNetUnion, ControlNetUnionModel, ControlNets, FluxControlNet,
    HunyuanDiTControlNet, QwenImageControlNet, QwenImageMultiControlNetModel, SD3ControlNet,
};
use crate::models::model::Model;
use crate::models::transformers::{
    FluxControlNetModel, HunyuanDiT2DControlNetModel, QwenImageControlNetModel, SD3ControlNetModel,
    SanaControlNetModel, ZImageControlNetModel,
};

/// A list of ControlNets of the same class. A list of one is as good as the model alone, except for Qwen-Image, where it follows
/// several images.
///
/// # Errors
/// When there is none, a model is no ControlNet, or they do not work together.
impl TryFrom<Vec<AnyModel>> for ControlNets {
    type Error = Error;

    fn try_from(models: Vec<AnyModel>) -> Result<Self> {
        let Some(first) = models.first() else {
            return Err(Error::argument("controlnet", "is an empty list"));
        };
        Ok(match first.class_name() {
            ControlNetModel::CLASS_NAME => ControlNet::of(of_one_class(&models)?)?.into(),
            ControlNetUnionModel::CLASS_NAME => ControlNetUnion::of(of_one_class(&models)?)?.into(),
            FluxControlNetModel::CLASS_NAME => FluxControlNet::of(of_one_class(&models)?)?.into(),
            HunyuanDiT2DControlNetModel::CLASS_NAME => {
                HunyuanDiTControlNet::of(of_one_class(&models)?)?.into()
            }
            QwenImageControlNetModel::CLASS_NAME => {
                let nets = QwenImageMultiControlNetModel::new(of_one_class(&models)?)?;
                QwenImageControlNet::from(nets).into()
            }
            SD3ControlNetModel::CLASS_NAME => SD3ControlNet::of(of_one_class(&models)?)?.into(),
            SanaControlNetModel::CLASS_NAME => alone::<SanaControlNetModel>(&models)?.into(),
            ZImageControlNetModel::CLASS_NAME => alone::<ZImageControlNetModel>(&models)?.into(),
            other => {
                let message = format!("must be a ControlNet, or a list of them, not a {other}");
                return Err(Error::argument("controlnet", message));
            }
        })
    }
}

/// One ControlNet.
///
/// # Errors
/// When the model is no ControlNet.
impl TryFrom<AnyModel> for ControlNets {
    type Error = Error;

    fn try_from(model: AnyModel) -> Result<Self> {
        if model.class_name() == QwenImageControlNetModel::CLASS_NAME {
            return Ok(QwenImageControlNet::from(alone::<QwenImageControlNetModel>(&[model])?).into());
        }
        Self::try_from(vec![model])
    }
}

/// Models of the class of the first one.
fn of_one_class<M: Model + 'static>(models: &[AnyModel]) -> Result<Vec<M>> {
    let of_class = |model: &AnyModel| {
        let component = model.to_component();
        component.as_any().downcast_ref::<M>().cloned().ok_or_else(|| {
            let message = format!(
                "a {} works only with others of its class, not with a {}",
                M::CLASS_NAME,
                model.class_name()
            );
            Error::argument("controlnet", message)
        })
    };
    models.iter().map(of_class).collect()
}

/// The only model, of a class that works only alone.
fn alone<M: Model + 'static>(models: &[AnyModel]) -> Result<M> {
    match <[M; 1]>::try_from(of_one_class(models)?) {
        Ok([model]) => Ok(model),
        Err(_) => Err(Error::argument("controlnet", format!("a {} works only alone", M::CLASS_NAME))),
    }
}
