//! The rules: values and decisions. No I/O, async, clock, randomness or serde.

mod amount;
mod calendar;
mod check;
mod code_list;
mod credit_note;
mod credited;
mod draft;
mod fault;
mod identity;
mod invoice;
mod item;
mod item_classes;
mod item_code;
mod line;
mod period;
mod receipt;
mod registration;
mod signature;
mod tax;

#[cfg(test)]
mod tests;

pub use amount::{Amount, DecimalFault, Quantity, Rate};
pub use calendar::{KraDate, KraDateTime, TimeFault};
pub use check::check_trader_ref;
pub use code_list::{Code, CodeList, Codes, ListFault, ListSource, Merged};
pub use credit_note::Original;
pub use credited::{Credited, Taken, credit};
pub use draft::{Draft, DraftLine};
pub use fault::{Fault, FaultCode, LINE_FIELDS, SALE_FIELDS};
pub use identity::{BhfId, CmcKey, DeviceIdentity, DeviceSerial, IdentityFault, Tin, TraderRef};
pub use invoice::{
    Customer, Insurance, Invoice, InvoiceLine, MAX_LINES, ReceiptType, Rules, SalesType, TimeSource,
};
pub use item::{ITEM_FIELDS, Item, ItemDraft, ItemRules};
pub use item_classes::{ClassFault, ItemClass, ItemClasses, MOST_CLASSES, NewItemClasses};
pub use item_code::{ItemCodeFault, ItemCodeGrammar};
pub use period::{Day, NoDay, Period};
pub use receipt::{Label, Proof, base32, group_in_fours, local_signature, qr_url, temporary_receipt_no};
pub use registration::Registration;
pub use tax::{Rates, Split, TaxConvention, TaxTotal, TaxType, Totals, split};
