//! Lists that mostly have one item, which then stands in the list itself: to read it is to go nowhere else, and a
//! thousand services have tens of thousands of them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// A list; its length does not change often.
#[derive(Clone)]
pub struct Few<T>(Inner<T>);

#[derive(Clone)]
enum Inner<T> {
    One(T),
    /// None, or more than one.
    Many(Box<[T]>),
}

impl<T> Few<T> {
    /// Without items.
    pub fn new() -> Few<T> {
        Few(Inner::Many(Box::default()))
    }

    /// Appends an item.
    pub fn push(&mut self, item: T) {
        let mut items = std::mem::take(self).into_vec();
        self.0 = match items.is_empty() {
            true => Inner::One(item),
            false => {
                items.reserve_exact(1);
                items.push(item);
                Inner::Many(items.into())
            }
        };
    }

    fn into_vec(self) -> Vec<T> {
        match self.0 {
            Inner::One(item) => vec![item],
            Inner::Many(items) => items.into(),
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few::new()
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Inner::One(item) => std::slice::from_ref(item),
            Inner::Many(items) => items,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Few<T> {
        let mut items = items.into_iter();
        let Some(first) = items.next() else { return Few::new() };
        match items.next() {
            None => Few(Inner::One(first)),
            Some(second) => Few(Inner::Many([first, second].into_iter().chain(items).collect())),
        }
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Few<T>) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: Ord> PartialOrd for Few<T> {
    fn partial_cmp(&self, other: &Few<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for Few<T> {
    fn cmp(&self, other: &Few<T>) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: Hash> Hash for Few<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_lists_that_they_were_made_of() {
        for length in 0..5 {
            let items: Vec<u16> = (0..length).collect();
            let collected: Few<u16> = items.iter().copied().collect();
            let mut pushed = Few::new();
            items.iter().for_each(|item| pushed.push(*item));
            assert_eq!((&*collected, &*pushed), (&*items, &*items));
            assert_eq!(collected, pushed);
            assert_eq!(format!("{collected:?}"), format!("{items:?}"));
            let longer: Few<u16> = items.iter().copied().chain([0]).collect();
            assert!(collected < longer && longer != pushed);
        }
    }
}
