//! The rules: values and decisions. No I/O, async, clock, randomness or serde.

mod amount;
mod calendar;
mod identity;
mod invoice;
mod receipt;
mod registration;
mod tax;

pub use amount::{Amount, DecimalFault, Quantity, Rate};
pub use calendar::{KraDate, KraDateTime, TimeFault};
pub use identity::{BhfId, CmcKey, DeviceIdentity, DeviceSerial, IdentityFault, Tin, TraderRef};
pub use invoice::{
    Customer, Draft, DraftLine, Insurance, Invoice, InvoiceLine, Original, ReceiptType, SalesType, TimeSource,
};
pub use receipt::Proof;
pub use registration::Registration;
pub use tax::{Rates, TaxConvention, TaxTotal, TaxType};
