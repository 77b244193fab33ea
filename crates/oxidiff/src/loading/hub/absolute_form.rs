//! Requests in the form that HTTP proxies forward.
//!
//! A proxy reads the destination of a plain HTTP request from its first line, `GET http://hub/file HTTP/1.1`. `ureq` writes
//! only the path there, and would request a tunnel instead, which most proxies allow only to port 443.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Passes requests on with their path, without its first slash, as the target: `/http://hub/file` becomes `http://hub/file`.
///
/// `ureq` accepts only paths that begin with a slash.
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
        // The first line of a request is written at once, so it is at the start. Only these methods are used.
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
