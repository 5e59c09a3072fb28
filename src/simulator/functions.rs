//! The table of calls: path, verb, what the XML wire calls their objects, and which of them save.

/// A function of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    CodeList,
    Initialise,
    InvoiceDetails,
    ItemClasses,
    ItemList,
    Notices,
    PurchaseSalesItems,
    SaveItem,
    SaveSale,
    SalesList,
    Status,
}

/// Function, last segment of its path, stem of its XML root elements (`...Req` and `...Res`).
const TABLE: &[(Function, &str, &str)] = &[
    (Function::CodeList, "selectCodeList", "CodeSearch"),
    (Function::Initialise, "selectInitOsdcInfo", "DeviceVerification"),
    (Function::InvoiceDetails, "selectInvoiceDetails", "InvoiceDetails"),
    (Function::ItemClasses, "selectItemClsList", "ItemClsSearch"),
    (Function::ItemList, "selectItemList", "ItemSearch"),
    (Function::Notices, "selectNoticeList", "NoticeSearch"),
    (Function::PurchaseSalesItems, "selectTrnsPurchaseSalesItemList", "TrnsPurchaseSalesItem"),
    (Function::SalesList, "selectTrnsSalesList", "TrnsSales"),
    (Function::SaveItem, "saveItem", "ItemSave"),
    (Function::SaveSale, "saveTrnsSalesOsdc", "TrnsSalesSaveWr"),
    (Function::Status, "selectOsdcStatus", "OsdcStatus"),
];

impl Function {
    /// The function of a path: its last segment, whatever comes before.
    pub(super) fn of_path(path: &str) -> Option<Function> {
        Function::named(path.rsplit('/').next()?)
    }

    /// The function of this name.
    pub(super) fn named(name: &str) -> Option<Function> {
        TABLE.iter().find(|(_, known, _)| *known == name).map(|(function, _, _)| *function)
    }

    /// The last segment of its path.
    pub(super) fn name(self) -> &'static str {
        self.row().1
    }

    /// GET or POST.
    pub(super) fn verb(self) -> &'static str {
        if self == Function::Status { "GET" } else { "POST" }
    }

    /// The root element of an XML request.
    pub(super) fn request_root(self) -> String {
        format!("{}Req", self.row().2)
    }

    /// The root element of an XML answer.
    pub(super) fn answer_root(self) -> String {
        format!("{}Res", self.row().2)
    }

    /// Whether it changes the books; a device sends one such request at a time.
    pub(super) fn saves(self) -> bool {
        matches!(self, Function::SaveItem | Function::SaveSale)
    }

    fn row(self) -> &'static (Function, &'static str, &'static str) {
        TABLE.iter().find(|(function, _, _)| *function == self).expect("every function has a row")
    }
}
