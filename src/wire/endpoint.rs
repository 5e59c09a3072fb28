//! The table of calls: where each function lives, how it is asked, and what its XML request is called.

use super::{Format, Function};

/// How a function is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With its identity in the query.
    Get,
    /// With a body.
    Post,
}

/// One function's row.
#[derive(Clone, Copy, Debug)]
struct Endpoint {
    function: Function,
    /// KRA's name, also the key under `kra.paths`.
    name: &'static str,
    /// The request object's name: the root element on the XML wire.
    root: &'static str,
    /// Where it lives under the base address, by wire; `None` where that wire does not have it.
    json: Option<&'static str>,
    xml: Option<&'static str>,
    method: Method,
}

const ENDPOINTS: [Endpoint; 11] = [
    Endpoint {
        function: Function::SaveItem,
        name: "saveItem",
        root: "ItemSaveReq",
        json: Some("/saveItem"),
        xml: Some("/saveItem"),
        method: Method::Post,
    },
    Endpoint {
        function: Function::SaveTrnsSalesOsdc,
        name: "saveTrnsSalesOsdc",
        root: "TrnsSalesSaveWrReq",
        json: Some("/saveTrnsSalesOsdc"),
        xml: Some("/saveTrnsSalesOsdc"),
        method: Method::Post,
    },
    Endpoint {
        function: Function::SelectCodeList,
        name: "selectCodeList",
        root: "CodeSearchReq",
        json: Some("/selectCodeList"),
        xml: Some("/selectCodeList"),
        method: Method::Post,
    },
    Endpoint {
        function: Function::SelectInitOsdcInfo,
        name: "selectInitOsdcInfo",
        root: "DeviceVerificationReq",
        json: Some("/selectInitOsdcInfo"),
        xml: Some("/selectInitOsdcInfo"),
        method: Method::Post,
    },
    Endpoint {
        function: Function::SelectInvoiceDetails,
        name: "selectInvoiceDetails",
        root: "InvoiceDetailsReq",
        json: Some("/selectInvoiceDetails"),
        xml: Some("/selectInvoiceDetails"),
        method: Method::Post,
    },
    Endpoint {
        function: Function::SelectItemClsList,
        name: "selectItemClsList",
        root: "ItemClsSearchReq",
        json: Some("/selectItemClsList"),
        xml: Some("/selectItemClsList"),
        method: Method::Post,
    },
    Endpoint {
        function: Function::SelectItemList,
        name: "selectItemList",
        root: "ItemSearchReq",
        json: Some("/selectItemList"),
        xml: None,
        method: Method::Post,
    },
    Endpoint {
        function: Function::SelectNoticeList,
        name: "selectNoticeList",
        root: "NoticeSearchReq",
        json: Some("/selectNoticeList"),
        xml: Some("/selectNoticeList"),
        method: Method::Post,
    },
    Endpoint {
        function: Function::SelectOsdcStatus,
        name: "selectOsdcStatus",
        root: "OsdcStatusReq",
        json: None,
        xml: Some("/selectOsdcStatus"),
        method: Method::Get,
    },
    Endpoint {
        function: Function::SelectTrnsPurchaseSalesItemList,
        name: "selectTrnsPurchaseSalesItemList",
        root: "TrnsPurchaseSalesItemReq",
        json: None,
        xml: Some("/selectTrnsPurchaseSalesItemList"),
        method: Method::Post,
    },
    Endpoint {
        function: Function::SelectTrnsSalesList,
        name: "selectTrnsSalesList",
        root: "TrnsSalesReq",
        json: Some("/selectTrnsSalesList"),
        xml: Some("/selectTrnsSalesList"),
        method: Method::Post,
    },
];

fn row(function: Function) -> &'static Endpoint {
    ENDPOINTS.iter().find(|endpoint| endpoint.function == function).expect("every function has its row")
}

/// The root element of a function's XML request.
pub fn root_element(function: Function) -> &'static str {
    row(function).root
}

/// How a function is asked.
pub fn method(function: Function) -> Method {
    row(function).method
}

impl Function {
    /// KRA's own name.
    pub fn name(self) -> &'static str {
        row(self).name
    }

    /// The function of this name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        ENDPOINTS.iter().find(|endpoint| endpoint.name == name).map(|endpoint| endpoint.function)
    }
}

/// The longest path of a function, in bytes.
const LONGEST_PATH: usize = 1000;

/// A path that an HTTP request could not carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must begin with /, have at most 1000 characters, and hold only what a URL's path may hold")]
pub struct PathFault;

/// Where each function lives under the base address: the wire's own table, and what the configuration overrides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    overrides: Vec<(Function, String)>,
}

impl Paths {
    /// The table as it is, nothing overridden.
    pub const fn new() -> Self {
        Self { overrides: Vec::new() }
    }

    /// Overrides one function's path (`kra.paths.*`), begun with a slash.
    ///
    /// # Errors
    /// The path does not begin with `/`, or a request line could not carry it.
    pub fn set(&mut self, function: Function, path: &str) -> Result<(), PathFault> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
        if !path.starts_with('/') || path.len() > LONGEST_PATH || !path.bytes().all(fits) {
            return Err(PathFault);
        }
        self.overrides.retain(|(known, _)| *known != function);
        self.overrides.push((function, path.to_owned()));
        Ok(())
    }

    /// The function's path on this wire; `None` where the wire does not have it and nothing gives it one.
    pub fn of(&self, function: Function, format: Format) -> Option<&str> {
        let given = self.overrides.iter().find(|(known, _)| *known == function);
        given.map(|(_, path)| path.as_str()).or(match format {
            Format::Json => row(function).json,
            Format::Xml => row(function).xml,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_one_row_and_its_name_leads_back() {
        for endpoint in ENDPOINTS {
            assert_eq!(Function::from_name(endpoint.name), Some(endpoint.function));
            assert_eq!(ENDPOINTS.iter().filter(|other| other.function == endpoint.function).count(), 1);
        }
        assert_eq!(Function::from_name("saveItemComposition"), None);
    }

    #[test]
    fn paths_can_be_overridden() {
        let mut paths = Paths::new();
        let save = Function::SaveTrnsSalesOsdc;
        assert_eq!(paths.of(save, Format::Json), Some("/saveTrnsSalesOsdc"));
        assert_eq!(paths.of(Function::SelectOsdcStatus, Format::Json), None);
        paths.set(save, "/first").unwrap();
        paths.set(save, "/sendSalesTransaction").unwrap();
        assert_eq!(paths.of(save, Format::Json), Some("/sendSalesTransaction"));
        assert_eq!(paths.of(save, Format::Xml), Some("/sendSalesTransaction"));
        let long = format!("/{}", "a".repeat(LONGEST_PATH));
        for bad in ["", "noslash", "/a b", "/a?b", "/a#b", "/a<b", "/a`", "/ä", "/a\r\nHost: x", &long] {
            assert_eq!(paths.set(save, bad), Err(PathFault), "{bad:?}");
        }
    }
}
