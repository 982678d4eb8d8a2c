//! [`Owners`]: which names a zone file's owners are, relative to the zone they are in (RFC 1035 §5.1).
//!
//! Follows the origin, the last stated owner, and the zone's own name: the SOA's owner, or until that comes the first `$ORIGIN`. A file
//! that names its zone nowhere is read relative to it, and an absolute owner is then outside. Costs one copy of an owner.

use super::Reason;

/// The zone's name, the origin and the last owner.
pub(super) struct Owners {
    /// The zone's absolute name without its final dot, if it is known.
    apex: Option<Vec<u8>>,
    /// Whether `apex` is the SOA's owner, which is final.
    from_soa: bool,
    /// What a relative name is relative to.
    origin: Origin,
    /// The origin relative to the apex; `None`: it is outside. Follows from the three above.
    prefix: Option<Vec<u8>>,
    /// The last owner relative to the apex, empty for the apex itself; meaningful while `owner_stands` is.
    owner: Vec<u8>,
    /// Whether the last owner is usable, or why not.
    owner_stands: Result<(), Reason>,
}

/// What a relative name is relative to.
enum Origin {
    /// So far below the zone's apex, whatever that is called.
    Below(Vec<u8>),
    /// This absolute name, without its final dot.
    Absolute(Vec<u8>),
    /// It could not be read.
    Lost,
}

impl Default for Owners {
    fn default() -> Self {
        Self {
            apex: None,
            from_soa: false,
            origin: Origin::Below(Vec::new()),
            prefix: Some(Vec::new()),
            owner: Vec::new(),
            // RFC 1035 §5.1: a record with a blank owner takes "the last stated owner"; at first there is none.
            owner_stands: Err(Reason::Syntax),
        }
    }
}

impl Owners {
    /// The last stated owner relative to the apex, empty for the apex itself.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn owner(&self) -> Result<&[u8], Reason> {
        self.owner_stands?;
        Ok(&self.owner)
    }

    /// The last stated owner could not be read: what inherits it is refused for the same reason.
    pub(super) const fn lose_owner(&mut self, reason: Reason) {
        self.owner_stands = Err(reason);
    }

    /// Reads `$ORIGIN`.
    ///
    /// # Errors
    /// [`Reason::Directive`], and relative names are refused until the next one.
    pub(super) fn set_origin(&mut self, value: Option<&[u8]>) -> Result<(), Reason> {
        let value = value.filter(|value| !value.contains(&b'\\'));
        self.origin = match (value, &self.origin) {
            (None, _) => Origin::Lost,
            (Some([absolute @ .., b'.']), _) => Origin::Absolute(absolute.to_vec()),
            (Some(value), Origin::Below(parent)) => Origin::Below(join(value, parent)),
            (Some(value), Origin::Absolute(parent)) => Origin::Absolute(join(value, parent)),
            (Some(_), Origin::Lost) => Origin::Lost,
        };
        if let (None, Origin::Absolute(origin)) = (&self.apex, &self.origin) {
            // `$ORIGIN .` comes first in a zone that a server wrote out; it is not the zone.
            self.apex = Some(origin.clone()).filter(|origin| !origin.is_empty());
        }
        self.resolve_prefix();
        value.map(|_| ()).ok_or(Reason::Directive)
    }

    /// Finds the origin relative to the apex, after either changed.
    fn resolve_prefix(&mut self) {
        self.prefix = match &self.origin {
            Origin::Below(prefix) => Some(prefix.clone()),
            Origin::Absolute(origin) => self.relative(origin).map(<[u8]>::to_vec),
            Origin::Lost => None,
        };
    }

    /// An absolute name, without its final dot, relative to the apex; `None` outside the zone.
    fn relative<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let apex = self.apex.as_deref()?;
        if apex.is_empty() {
            return Some(name);
        }
        let (front, end) = name.split_at_checked(name.len().checked_sub(apex.len())?)?;
        if !end.eq_ignore_ascii_case(apex) {
            return None;
        }
        if front.is_empty() { Some(front) } else { front.strip_suffix(b".") }
    }

    /// Makes `token` the last stated owner.
    pub(super) fn state(&mut self, token: &[u8]) {
        let mut owner = std::mem::take(&mut self.owner);
        owner.clear();
        self.owner_stands = self.resolve(token, &mut owner);
        self.owner = owner;
    }

    /// Appends to `into` the name that `token` stands for, relative to the apex.
    fn resolve(&self, token: &[u8], into: &mut Vec<u8>) -> Result<(), Reason> {
        // An escape stands for a character that no listed name may hold.
        if token.contains(&b'\\') {
            return Err(Reason::Character);
        }
        if let [absolute @ .., b'.'] = token {
            into.extend_from_slice(self.relative(absolute).ok_or(Reason::OutOfZone)?);
            return Ok(());
        }
        match (&self.prefix, &self.origin) {
            (Some(prefix), _) if prefix.is_empty() && token != b"@" => into.extend_from_slice(token),
            (Some(prefix), _) => into.extend_from_slice(&join(token, prefix)),
            // The origin may be above the zone, as `$ORIGIN .` is: with it, the name may be inside.
            (None, Origin::Absolute(origin)) => {
                into.extend_from_slice(self.relative(&join(token, origin)).ok_or(Reason::OutOfZone)?);
            }
            (None, _) => return Err(Reason::OutOfZone),
        }
        Ok(())
    }

    /// The absolute name, without its final dot, that `token` stands for in a record's data; `None` if it is relative to what is not known.
    pub(super) fn absolute(&self, token: &[u8]) -> Option<Vec<u8>> {
        match (token, &self.origin) {
            ([absolute @ .., b'.'], _) => Some(absolute.to_vec()),
            (_, Origin::Absolute(origin)) => Some(join(token, origin)),
            (_, Origin::Below(prefix)) => self.apex.as_ref().map(|apex| join(&join(token, prefix), apex)),
            (_, Origin::Lost) => None,
        }
    }

    /// The SOA's owner is the apex, if it can be made absolute; the first SOA decides.
    pub(super) fn learn_apex(&mut self, token: Option<&[u8]>) {
        if !self.from_soa {
            self.from_soa = true;
            let absolute = match (token, &self.origin) {
                (Some([absolute @ .., b'.']), _) => Some(absolute.to_vec()),
                (Some(b"@"), Origin::Absolute(origin)) => Some(origin.clone()),
                (Some(relative), Origin::Absolute(origin)) => Some(join(relative, origin)),
                _ => None,
            };
            self.apex = absolute.or_else(|| self.apex.take());
            self.resolve_prefix();
        }
        self.owner.clear();
        self.owner_stands = Ok(());
    }
}

/// A name below another, both without a final dot.
fn join(name: &[u8], parent: &[u8]) -> Vec<u8> {
    let name = if name == b"@" { &[] } else { name };
    let dot: &[u8] = if name.is_empty() || parent.is_empty() { b"" } else { b"." };
    [name, dot, parent].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a script of `$name` origins, `!name` SOA owners and plain owners makes of its last owner.
    fn last(script: &str) -> Result<String, Reason> {
        let mut owners = Owners::default();
        for word in script.split(' ') {
            match word.as_bytes() {
                [b'$', origin @ ..] => drop(owners.set_origin(Some(origin))),
                [b'!', soa @ ..] => owners.learn_apex(Some(soa)),
                owner => owners.state(owner),
            }
        }
        owners.owner().map(|owner| String::from_utf8(owner.to_vec()).unwrap())
    }

    #[test]
    fn owners_relative_to_their_zone() {
        let outside = Err(Reason::OutOfZone);
        for (script, want) in [
            ("a", Ok("a")),
            ("@", Ok("")),
            ("a.", outside),
            ("!@ a", Ok("a")),
            ("!@", Ok("")),
            ("!@ a.", outside),
            ("!z.x. a.Z.X.", Ok("a")),
            ("!z.x. z.x.", Ok("")),
            ("!z.x. az.x.", outside),
            ("!z.x. x.", outside),
            ("!. a.b.", Ok("a.b")),
            ("$z. a", Ok("a")),
            ("$z. a.z.", Ok("a")),
            ("$z. $b.z. a", Ok("a.b")),
            ("$z. $b a", Ok("a.b")),
            ("$z. $b $@ a", Ok("a.b")),
            ("$b a", Ok("a.b")),
            ("$z. $y. a", outside),
            ("$z. $y. a.z.", Ok("a")),
            ("$. !z $z. a", Ok("a")),
            ("$. !z a.z", Ok("a")),
            ("$. !z $y.z. @", Ok("y")),
            ("$z. !y. a", outside),
            ("$z. !y. !z. $y. a", Ok("a")),
            ("$z. $b\\c a", outside),
            ("$z. $b\\c $d a", outside),
            ("$z. $b\\c $d.z. a", Ok("a.d")),
            ("a\\.b", Err(Reason::Character)),
        ] {
            assert_eq!(last(script), want.map(str::to_owned), "{script}");
        }
    }

    #[test]
    fn names_in_data_are_completed_where_the_origin_is_known() {
        for (script, name, want) in [
            ("", "a.", Some("a")),
            ("", ".", Some("")),
            ("", "a", None),
            ("!@", "a", None),
            ("!z.x.", "a", Some("a.z.x")),
            ("!z.x. $b", "a", Some("a.b.z.x")),
            ("!z.x. $b", "@", Some("b.z.x")),
            ("$z.", "a", Some("a.z")),
            ("$. !z", "a", Some("a")),
            ("$z. $y.", "a", Some("a.y")),
            ("$z. $b\\c", "a", None),
        ] {
            let mut owners = Owners::default();
            for word in script.split(' ') {
                match word.as_bytes() {
                    [b'$', origin @ ..] => drop(owners.set_origin(Some(origin))),
                    [b'!', soa @ ..] => owners.learn_apex(Some(soa)),
                    _ => {}
                }
            }
            assert_eq!(owners.absolute(name.as_bytes()), want.map(|want| want.as_bytes().to_vec()), "{script} {name}");
        }
    }

    #[test]
    fn before_any_owner_there_is_none() {
        assert_eq!(Owners::default().owner(), Err(Reason::Syntax));
    }
}
