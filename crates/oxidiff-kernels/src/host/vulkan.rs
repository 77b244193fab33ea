//! What the Vulkan drivers of this machine can do.

use ash::{Entry, khr, vk};

/// Whether a Vulkan device of this machine lets shaders lay out the memory of a workgroup
/// (`VK_KHR_workgroup_memory_explicit_layout`).
///
/// Without it, CubeCL 0.11 compiles shaders that crash the driver. Drivers of graphics cards have it; Mesa's software driver, as
/// of version 25.0, does not.
pub fn explicit_workgroup_layout() -> bool {
    // SAFETY: this loads the system's Vulkan loader, which has no requirements on the program. The instance is used only here
    // and only before it is destroyed, and the devices belong to it.
    unsafe {
        let Ok(entry) = Entry::load() else { return false };
        let Ok(instance) = entry.create_instance(&vk::InstanceCreateInfo::default(), None) else {
            return false;
        };
        let devices = instance.enumerate_physical_devices().unwrap_or_default();
        let found = devices.into_iter().any(|device| {
            let extensions = instance.enumerate_device_extension_properties(device).unwrap_or_default();
            let name = khr::workgroup_memory_explicit_layout::NAME;
            extensions.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name))
        });
        instance.destroy_instance(None);
        found
    }
}
