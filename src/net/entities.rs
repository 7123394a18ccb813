//! What `&…;` stands for in XML of others: a character, or one of the five entities that every document has. What a document
//! declares itself is not known, so none grows by it.

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::BytesRef;

use super::excerpt::excerpt;

/// The text that a reference stands for; the error says what is wrong with the document, as an end of a sentence.
pub fn resolved(reference: &BytesRef<'_>) -> Result<String, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("has a text that cannot be read: {error}");
    if let Some(character) = reference.resolve_char_ref().map_err(|error| unreadable(&error))? {
        return Ok(character.to_string());
    }
    let name = reference.decode().map_err(|error| unreadable(&error))?;
    let known = resolve_xml_entity(&name).map(str::to_owned);
    known.ok_or_else(|| format!("has an entity that nobody knows, `&{};`", excerpt(&name)))
}
