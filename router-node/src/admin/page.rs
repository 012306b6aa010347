//! Long lists in pages: sorted by name, each page going on after the last name of the one before.

/// Longest page, and the usual one: a whole catalog of ordinary size.
const MAX_PAGE: usize = 1_000;

/// One page of `items`, and where the next begins; empty at the end.
pub fn page<T>(
    mut items: Vec<T>,
    size: u32,
    token: &str,
    name: impl Fn(&T) -> String,
) -> (Vec<T>, String) {
    items.sort_by_cached_key(&name);
    if !token.is_empty() {
        items.retain(|item| name(item).as_str() > token);
    }
    let size = usize::try_from(size).unwrap_or(MAX_PAGE);
    let size = if size == 0 { MAX_PAGE } else { size.min(MAX_PAGE) };
    let more = items.len() > size;
    items.truncate(size);
    let next = items.last().filter(|_| more).map(name).unwrap_or_default();
    (items, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gaps() {
        let all = || vec!["d", "a", "c", "b", "e"];
        let mut token = String::new();
        let mut seen = Vec::new();
        loop {
            let (items, next) = page(all(), 2, &token, |s| (*s).to_owned());
            seen.extend(items);
            if next.is_empty() {
                break;
            }
            token = next;
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_page_of_exactly_the_rest_is_the_last() {
        let (items, next) = page(vec![1, 2], 2, "", |n| n.to_string());
        assert_eq!((items.len(), next.as_str()), (2, ""));
    }
}
