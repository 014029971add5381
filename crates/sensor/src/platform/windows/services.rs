//! Services and drivers. Source: reference/commands.md section 6.5.

use windows_service::service::ServiceAccess;
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use winreg::{HKLM, RegKey};

use crate::platform::shapes::Service;

/// Where Windows keeps what services there are.
const KEY: &str = r"SYSTEM\CurrentControlSet\Services";
/// Types with a bit of these are services; of the others, those below are drivers.
const SERVICES: u32 = 0x30;
const DRIVERS: u32 = 0x0f;

/// All services.
#[must_use]
pub fn services() -> Vec<Service> {
    of_type(SERVICES)
}

/// All drivers.
#[must_use]
pub fn modules() -> Vec<Service> {
    of_type(DRIVERS)
}

fn of_type(bits: u32) -> Vec<Service> {
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT).ok();
    let Ok(all) = HKLM.open_subkey(KEY) else { return Vec::new() };
    let names = all.enum_keys().flatten();
    names.filter_map(|name| service(&all, name, bits, manager.as_ref())).collect()
}

fn service(all: &RegKey, name: String, bits: u32, manager: Option<&ServiceManager>) -> Option<Service> {
    let key = all.open_subkey(&name).ok()?;
    let kind = key.get_value::<u32, _>("Type").ok().filter(|kind| kind & bits != 0)?;
    let text = |name: &str| key.get_value::<String, _>(name).unwrap_or_default();
    let status = manager
        .and_then(|manager| manager.open_service(&name, ServiceAccess::QUERY_STATUS).ok())
        .and_then(|service| service.query_status().ok());
    Some(Service {
        display_name: text("DisplayName"),
        executable: text("ImagePath"),
        path: String::new(),
        kind,
        state: status.as_ref().map_or(0, |status| status.current_state as u32),
        pid: status.and_then(|status| status.process_id).unwrap_or(0),
        name,
    })
}
