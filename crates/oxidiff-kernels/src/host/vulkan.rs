//! What the Vulkan drivers of this machine can do.

use ash::{Entry, khr, vk};

/// Whether a Vulkan device of this machine lets shaders lay out the memory of a workgroup
/// (`VK_KHR_workgroup_memory_explicit_layout`).
///
/// For devices that do not, CubeCL 0.11 compiles shaders that crash the driver. Those of graphics cards do; Mesa's software
/// driver did not as of version 25.0.
pub fn explicit_workgroup_layout() -> bool {
    // SAFETY: loads the Vulkan loader of the system, which asks nothing of a program that loads it. The instance is used only
    // here and only while it exists, and the devices are its own.
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
