//! The serial ports of the configuration, a task each.

use std::convert::Infallible;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::config::{self, Settings};
use crate::gateway::ports::{Authority, Clock, EventLog, ItemLog, Ledger, Registry, StoreHealth};
use crate::pos::{Desk, LineDesk};
use crate::serial::{
    Answering, DataBits, FlowControl, Link, LinkSettings, Parity, PortSettings, Protocol, Request, StopBits,
    serve,
};
use crate::status::SerialPort;
use crate::store::ORIGIN_MAX;

/// The ports, for whoever looks at them.
pub(super) fn ports(settings: &Settings) -> Vec<Arc<SerialPort>> {
    let port = |serial: &config::Serial| {
        Arc::new(SerialPort::new(serial.port.display().to_string(), in_words(serial)))
    };
    settings.serial.iter().map(port).collect()
}

/// Serves each of them until the returned set is dropped. `servers` gets a task that ends once, after `stopping`, no
/// register waits for an answer.
pub(super) fn start<L, A, C>(
    settings: &Settings,
    desk: &Arc<Desk<L, A, C>>,
    ports: &[Arc<SerialPort>],
    stopping: &watch::Receiver<bool>,
    servers: &mut JoinSet<()>,
) -> JoinSet<()>
where
    L: EventLog + ItemLog + Ledger + Registry + StoreHealth,
    A: Authority,
    C: Clock,
{
    let mut lines = JoinSet::new();
    let (alive, mut idle) = mpsc::channel::<Infallible>(1);
    for (serial, port) in settings.serial.iter().zip(ports) {
        let name = serial.port.display().to_string();
        let register = Arc::new(LineDesk {
            desk: Arc::clone(desk),
            origin: origin(&name),
            prefix: serial.prefix.clone(),
        });
        let ready = Arc::clone(&register);
        let answering = Answering {
            answer: move |request: Request| Arc::clone(&register).answer(request),
            accepting: move || ready.accepting(),
            stop: stopping.clone(),
            alive: alive.clone(),
        };
        let link = Link::new(link_settings(serial), Arc::clone(port), answering);
        lines.spawn(serve(port_settings(serial), link, Arc::clone(port)));
    }
    servers.spawn(async move {
        drop(alive);
        // Ends when the last sender is gone.
        let _none = idle.recv().await;
    });
    lines
}

const fn link_settings(serial: &config::Serial) -> LinkSettings {
    LinkSettings {
        protocol: match serial.protocol {
            config::SerialProtocol::Frame => Protocol::Frame,
            config::SerialProtocol::Lines => Protocol::Lines,
        },
        baud: serial.baud,
        seven_bit: matches!(serial.data_bits, config::DataBits::Seven),
    }
}

/// How a port of the configuration is opened.
pub fn port_settings(serial: &config::Serial) -> PortSettings {
    PortSettings {
        path: serial.port.clone(),
        baud: serial.baud,
        data_bits: match serial.data_bits {
            config::DataBits::Seven => DataBits::Seven,
            config::DataBits::Eight => DataBits::Eight,
        },
        parity: match serial.parity {
            config::Parity::None => Parity::None,
            config::Parity::Even => Parity::Even,
            config::Parity::Odd => Parity::Odd,
        },
        stop_bits: match serial.stop_bits {
            config::StopBits::One => StopBits::One,
            config::StopBits::Two => StopBits::Two,
        },
        flow_control: match serial.flow_control {
            config::FlowControl::None => FlowControl::None,
            config::FlowControl::Hardware => FlowControl::Hardware,
            config::FlowControl::Software => FlowControl::Software,
        },
    }
}

/// As `frame, 9600 8N1`.
fn in_words(serial: &config::Serial) -> String {
    let data_bits = if matches!(serial.data_bits, config::DataBits::Seven) { 7 } else { 8 };
    let stop_bits = if matches!(serial.stop_bits, config::StopBits::Two) { 2 } else { 1 };
    let parity = match serial.parity {
        config::Parity::None => 'N',
        config::Parity::Even => 'E',
        config::Parity::Odd => 'O',
    };
    format!("{}, {} {data_bits}{parity}{stop_bits}", serial.protocol.as_str(), serial.baud)
}

/// What the log says of where a sale came from: the port's name, and of a long one as much as there is room for and what
/// tells it from others.
fn origin(port: &str) -> String {
    if port.len() <= ORIGIN_MAX {
        return port.to_owned();
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, port.as_bytes());
    let mark = format!("~{}", HEXLOWER.encode(&digest.as_ref()[..8]));
    let mut origin = String::new();
    for c in port.chars() {
        if origin.len() + c.len_utf8() + mark.len() > ORIGIN_MAX {
            break;
        }
        origin.push(c);
    }
    origin + &mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_room_in_the_log_and_is_like_no_other() {
        assert_eq!(origin("/dev/ttyUSB0"), "/dev/ttyUSB0");
        let long = format!(
            "/dev/serial/by-id/usb-Some_Maker_Inc._USB-Serial_Controller_{}-if00-port0",
            "A5".repeat(9)
        );
        let (one, other) = (origin(&long), origin(&format!("{long}1")));
        assert!(one.len() <= ORIGIN_MAX && other.len() <= ORIGIN_MAX && one != other, "{one} {other}");
        assert!(
            one.starts_with("/dev/serial/by-id/usb-Some_Maker")
                && origin(&"é".repeat(40)).len() <= ORIGIN_MAX
        );
    }
}
