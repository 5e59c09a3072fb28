//! What KRA knows of our device.

/// What `selectInitOsdcInfo` answers, without the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// `dvcId`.
    pub device_id: String,
    /// `sdcId`: the sales control unit's id, which is printed.
    pub scu_id: String,
    /// `mrcNo`.
    pub mrc_no: String,
    /// `taxprNm`.
    pub taxpayer_name: String,
    /// `bsnsActv`.
    pub business: Option<String>,
    /// `bhfNm`.
    pub branch_name: Option<String>,
    /// `prvncNm`, `dstrtNm`, `sctrNm`, `locDesc`, as far as given: where the branch is.
    pub address: Option<String>,
}
