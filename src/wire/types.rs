//! The numbers of the IANA registry that the code speaks of by name.

/// A resource record type or QTYPE.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rtype(pub u16);

macro_rules! rtypes {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl Rtype {
            $($(#[$doc])* pub const $name: Rtype = Rtype($number);)*
        }

        impl std::fmt::Display for Rtype {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.0 {
                    $($number => f.write_str(stringify!($name)),)*
                    other => write!(f, "TYPE{other}"),
                }
            }
        }
    };
}

rtypes! {
    /// An IPv4 address.
    A = 1;
    /// A name server.
    NS = 2;
    /// An alias.
    CNAME = 5;
    /// The start of a zone.
    SOA = 6;
    /// A mailbox domain (RFC 1035, obsolete; compressible).
    MB = 7;
    /// A mail group member (RFC 1035, obsolete; compressible).
    MG = 8;
    /// A mail rename (RFC 1035, obsolete; compressible).
    MR = 9;
    /// A pointer to a name.
    PTR = 12;
    /// Host information; also the minimal answer to ANY (RFC 8482).
    HINFO = 13;
    /// Who is responsible for a mailbox (RFC 1035, obsolete).
    MINFO = 14;
    /// A mail exchange.
    MX = 15;
    /// Text.
    TXT = 16;
    /// Who is responsible (RFC 1183).
    RP = 17;
    /// An AFS database (RFC 1183).
    AFSDB = 18;
    /// An X.25 address (RFC 1183).
    X25 = 19;
    /// An ISDN address (RFC 1183).
    ISDN = 20;
    /// A route through (RFC 1183).
    RT = 21;
    /// An OSI address (RFC 1706).
    NSAP = 22;
    /// A key (RFC 2535).
    KEY = 25;
    /// X.400 mappings (RFC 2163).
    PX = 26;
    /// A place (RFC 1712).
    GPOS = 27;
    /// An IPv6 address.
    AAAA = 28;
    /// A place (RFC 1876).
    LOC = 29;
    /// A service's location.
    SRV = 33;
    /// A rule of rewriting (RFC 3403).
    NAPTR = 35;
    /// A key exchanger (RFC 2230).
    KX = 36;
    /// A certificate (RFC 4398).
    CERT = 37;
    /// An alias for everything below a name (RFC 6672).
    DNAME = 39;
    /// EDNS (RFC 6891).
    OPT = 41;
    /// Address prefixes (RFC 3123).
    APL = 42;
    /// A delegation signer (RFC 4034).
    DS = 43;
    /// The fingerprint of an SSH key (RFC 4255).
    SSHFP = 44;
    /// A key for IPsec (RFC 4025).
    IPSECKEY = 45;
    /// A signature (RFC 4034).
    RRSIG = 46;
    /// A denial of existence (RFC 4034).
    NSEC = 47;
    /// A zone's key (RFC 4034).
    DNSKEY = 48;
    /// Who a DHCP client is (RFC 4701).
    DHCID = 49;
    /// A hashed denial of existence (RFC 5155).
    NSEC3 = 50;
    /// The parameters of hashed denial (RFC 5155).
    NSEC3PARAM = 51;
    /// A TLS server's certificate (RFC 6698).
    TLSA = 52;
    /// A certificate for mail (RFC 8162).
    SMIMEA = 53;
    /// A host identity (RFC 8005).
    HIP = 55;
    /// A zone's status.
    NINFO = 56;
    /// A key for encryption.
    RKEY = 57;
    /// A link of trust anchors.
    TALINK = 58;
    /// A child's DS (RFC 7344).
    CDS = 59;
    /// A child's DNSKEY (RFC 7344).
    CDNSKEY = 60;
    /// A key for mail (RFC 7929).
    OPENPGPKEY = 61;
    /// What a parent may copy (RFC 7477).
    CSYNC = 62;
    /// A digest of the zone (RFC 8976).
    ZONEMD = 63;
    /// Service binding (RFC 9460).
    SVCB = 64;
    /// Service binding for HTTPS (RFC 9460).
    HTTPS = 65;
    /// Where children notify (RFC 9859).
    DSYNC = 66;
    /// A hierarchical host identity (RFC 9886).
    HHIT = 67;
    /// A broadcast remote identity (RFC 9886).
    BRID = 68;
    /// Who may send mail (RFC 7208, obsolete).
    SPF = 99;
    /// A node (RFC 6742).
    NID = 104;
    /// A locator (RFC 6742).
    L32 = 105;
    /// A locator (RFC 6742).
    L64 = 106;
    /// A name of locators (RFC 6742).
    LP = 107;
    /// A hardware address (RFC 7043).
    EUI48 = 108;
    /// A hardware address (RFC 7043).
    EUI64 = 109;
    /// "This name does not exist" in a bitmap (RFC 9824 section 2); never asked for.
    NXNAME = 128;
    /// A transaction signature (RFC 8945).
    TSIG = 250;
    /// Incremental zone transfer.
    IXFR = 251;
    /// Zone transfer.
    AXFR = 252;
    /// Whatever there is (RFC 8482).
    ANY = 255;
    /// A URI (RFC 7553).
    URI = 256;
    /// Who may issue certificates.
    CAA = 257;
    /// Application visibility.
    AVC = 258;
    /// A digital object.
    DOA = 259;
    /// A multicast relay (RFC 8777).
    AMTRELAY = 260;
    /// What a resolver can do (RFC 9606).
    RESINFO = 261;
    /// Where to pay.
    WALLET = 262;
    /// A convergence layer.
    CLA = 263;
    /// A trust authority.
    TA = 32768;
    /// Lookaside validation (RFC 4431, obsolete).
    DLV = 32769;
}

impl Rtype {
    /// Whether it can only be asked for, or lives in messages only: never data of a zone (RFC 6895
    /// section 3.1).
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }

    /// Whether steered names answer it themselves (R14).
    pub const fn is_steered(self) -> bool {
        matches!(self, Rtype::A | Rtype::AAAA | Rtype::SVCB | Rtype::HTTPS)
    }
}

/// A class or QCLASS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Class(pub u16);

impl Class {
    /// The Internet.
    pub const IN: Class = Class(1);
    /// Chaos: `id.server` and `version.bind`.
    pub const CH: Class = Class(3);
}

/// What kind of message it is: four bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A query.
    pub const QUERY: Opcode = Opcode(0);
    /// A zone has changed (RFC 1996).
    pub const NOTIFY: Opcode = Opcode(4);
    /// Dynamic update (RFC 2136).
    pub const UPDATE: Opcode = Opcode(5);
}

/// The response codes that this server gives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rcode {
    /// The question was answered, be it with nothing.
    NoError,
    /// The query makes no sense.
    FormErr,
    /// The server failed.
    ServFail,
    /// The name does not exist, nor anything below it.
    NxDomain,
    /// This kind of query is not implemented.
    NotImp,
    /// The server will not answer this.
    Refused,
    /// A DNAME leads to a name that is too long (RFC 6672).
    YxDomain,
    /// Not authoritative for the zone (RFC 5936), or not authorised: a TSIG was not accepted (RFC 8945).
    NotAuth,
    /// The EDNS version is not known (RFC 6891).
    BadVers,
    /// 23: the cookie is missing or wrong: ask again with the one that comes along (RFC 7873).
    BadCookie,
}

impl Rcode {
    /// Every response code, in the order in which counters are kept.
    pub const ALL: [Rcode; 10] = [
        Rcode::NoError,
        Rcode::FormErr,
        Rcode::ServFail,
        Rcode::NxDomain,
        Rcode::NotImp,
        Rcode::Refused,
        Rcode::YxDomain,
        Rcode::NotAuth,
        Rcode::BadVers,
        Rcode::BadCookie,
    ];

    /// The registry's number: the upper eight bits go into OPT.
    pub const fn number(self) -> u16 {
        match self {
            Rcode::NoError => 0,
            Rcode::FormErr => 1,
            Rcode::ServFail => 2,
            Rcode::NxDomain => 3,
            Rcode::NotImp => 4,
            Rcode::Refused => 5,
            Rcode::YxDomain => 6,
            Rcode::NotAuth => 9,
            Rcode::BadVers => 16,
            Rcode::BadCookie => 23,
        }
    }

    /// The registry's mnemonic.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            Rcode::NoError => "NOERROR",
            Rcode::FormErr => "FORMERR",
            Rcode::ServFail => "SERVFAIL",
            Rcode::NxDomain => "NXDOMAIN",
            Rcode::NotImp => "NOTIMP",
            Rcode::Refused => "REFUSED",
            Rcode::YxDomain => "YXDOMAIN",
            Rcode::NotAuth => "NOTAUTH",
            Rcode::BadVers => "BADVERS",
            Rcode::BadCookie => "BADCOOKIE",
        }
    }

    /// The position in [`Rcode::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}
