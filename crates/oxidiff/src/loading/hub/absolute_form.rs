//! Requests in the form that an HTTP proxy forwards.
//!
//! A proxy learns where a plain HTTP request goes from its first line, `GET http://hub/file HTTP/1.1`. `ureq` writes the path
//! alone there, and would ask for a tunnel instead, which proxies commonly allow to port 443 only.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Passes requests on with their path as the target, less its first slash: `/http://hub/file` becomes `http://hub/file`.
///
/// `ureq` takes no path that does not begin with a slash.
#[derive(Debug)]
pub(super) struct AbsoluteForm;

impl<In: Transport> Connector<In> for AbsoluteForm {
    type Out = AbsoluteFormTransport<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(AbsoluteFormTransport))
    }
}

/// A connection whose requests are rewritten.
#[derive(Debug)]
pub(super) struct AbsoluteFormTransport<T>(T);

impl<T: Transport> Transport for AbsoluteFormTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = &mut self.0.buffers().output()[..amount];
        // A request's first line is written at once, so that it stands at the start. These are the methods in use.
        let method = [&b"GET "[..], b"HEAD "].into_iter().find(|method| output.starts_with(method));
        let slash = method.map(<[u8]>::len).filter(|&slash| output[slash..].starts_with(b"/http://"));
        let amount = match slash {
            Some(slash) => {
                output.copy_within(slash + 1.., slash);
                amount - 1
            }
            None => amount,
        };
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
