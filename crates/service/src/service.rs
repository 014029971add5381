//! The trait, one method per event, and how it is known which methods a service has.

use crate::interactive::Replies;
use crate::outcome::Outcome;
use crate::{Call, Handle};
use muster_webhook::service::{Etype, Per, Period};
use std::any::TypeId;
use std::collections::BTreeSet;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What callbacks that a service leaves out return. Its type tells that they were left out.
struct LeftOut(Ready<()>);

impl Future for LeftOut {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        Pin::new(&mut self.0).poll(cx).map(|()| Ok(muster_webhook::service::Answer::not_implemented()))
    }
}

/// Whether a service has a callback of its own: the future of one that it left out is [`LeftOut`].
///
/// The callback is not called; its type says it all.
fn is_own<S, F: Future + 'static>(_: fn(Arc<S>, Call) -> F) -> bool {
    TypeId::of::<F>() != TypeId::of::<LeftOut>()
}

macro_rules! callbacks {
    ($($(#[$doc:meta])* $method:ident = $etype:expr;)*) => {
        /// A service: one method per event. Those that are left out are never called.
        ///
        /// Methods are written `async fn on_request(self: Arc<Self>, call: Call) -> Outcome`. An event may be
        /// delivered more than once: [`Call::mid`] is then the same. Once begun, a callback runs to its end.
        pub trait Service: Sized + Send + Sync + 'static {
            /// Called once, before the first event: the place to subscribe to detections, to publish
            /// resources and to declare the parameters of requests.
            fn on_startup(&self, _program: &Handle) {}

            /// Called once, after the last event, and after background work has ended or was given up.
            fn on_shutdown(&self) {}

            /// Callbacks for the answers of sensors; a service that has some is interactive: each organization
            /// that subscribes gets the rule that leads answers back.
            fn replies() -> Replies<Self> {
                Replies::none()
            }

            $(
                $(#[$doc])*
                fn $method(self: Arc<Self>, _call: Call) -> impl Future<Output = Outcome> + Send + 'static {
                    LeftOut(ready(()))
                }
            )*
        }

        /// Events for which a service has a callback of its own.
        pub(crate) fn own_callbacks<S: Service>() -> BTreeSet<Etype> {
            let mut own = BTreeSet::new();
            $(
                if is_own(S::$method) {
                    own.insert($etype);
                }
            )*
            own
        }

        /// The callback for an event, ready to run; `None` for events that frameworks answer themselves.
        pub(crate) fn callback<S: Service>(
            service: Arc<S>,
            etype: Etype,
            call: Call,
        ) -> Option<Pin<Box<dyn Future<Output = Outcome> + Send>>> {
            $(
                if etype == $etype {
                    return Some(Box::pin(service.$method(call)));
                }
            )*
            None
        }
    };
}

callbacks! {
    /// An organization subscribed.
    on_org_installed = Etype::OrgInstall;
    /// An organization unsubscribed. The token still works for a moment: the place to clean up.
    on_org_uninstalled = Etype::OrgUninstall;
    /// A rule detected something to which the service subscribed ([`Handle::subscribe_to_detect`]).
    on_detection = Etype::Detection;
    /// Somebody asks for something; `data` was checked if parameters are declared.
    on_request = Etype::Request;
    /// A sensor enrolled, was cloned, went over quota and so on: `routing.event_type` says which.
    on_deployment_event = Etype::DeploymentEvent;
    /// A log came in, or an export is complete.
    on_log_event = Etype::LogEvent;
    /// The server met an error on behalf of the service.
    on_service_error = Etype::ServiceError;
    /// A sensor enrolled; newer services use [`Service::on_deployment_event`].
    on_new_sensor = Etype::NewSensor;
    /// Every hour for each organization.
    every_1_hour_per_org = Etype::Every(Period::Hour1, Per::Organization);
    /// Every 3 hours for each organization.
    every_3_hours_per_org = Etype::Every(Period::Hour3, Per::Organization);
    /// Every 12 hours for each organization.
    every_12_hours_per_org = Etype::Every(Period::Hour12, Per::Organization);
    /// Every 24 hours for each organization.
    every_24_hours_per_org = Etype::Every(Period::Hour24, Per::Organization);
    /// Every 7 days for each organization.
    every_7_days_per_org = Etype::Every(Period::Day7, Per::Organization);
    /// Every 30 days for each organization.
    every_30_days_per_org = Etype::Every(Period::Day30, Per::Organization);
    /// Every hour, without an organization.
    every_1_hour_globally = Etype::Every(Period::Hour1, Per::Service);
    /// Every 3 hours, without an organization.
    every_3_hours_globally = Etype::Every(Period::Hour3, Per::Service);
    /// Every 12 hours, without an organization.
    every_12_hours_globally = Etype::Every(Period::Hour12, Per::Service);
    /// Every 24 hours, without an organization.
    every_24_hours_globally = Etype::Every(Period::Hour24, Per::Service);
    /// Every 7 days, without an organization.
    every_7_days_globally = Etype::Every(Period::Day7, Per::Service);
    /// Every 30 days, without an organization.
    every_30_days_globally = Etype::Every(Period::Day30, Per::Service);
    /// Every hour for each sensor: `data.sid`.
    every_1_hour_per_sensor = Etype::Every(Period::Hour1, Per::Sensor);
    /// Every 3 hours for each sensor: `data.sid`.
    every_3_hours_per_sensor = Etype::Every(Period::Hour3, Per::Sensor);
    /// Every 12 hours for each sensor: `data.sid`.
    every_12_hours_per_sensor = Etype::Every(Period::Hour12, Per::Sensor);
    /// Every 24 hours for each sensor: `data.sid`.
    every_24_hours_per_sensor = Etype::Every(Period::Hour24, Per::Sensor);
    /// Every 7 days for each sensor: `data.sid`.
    every_7_days_per_sensor = Etype::Every(Period::Day7, Per::Sensor);
    /// Every 30 days for each sensor: `data.sid`.
    every_30_days_per_sensor = Etype::Every(Period::Day30, Per::Sensor);
}
