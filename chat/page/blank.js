/*
 * Which texts show nothing: the rule of the server (chat/src/blank.rs), so that the page sends no message that is
 * refused as empty.
 */

/** The property Default_Ignorable_Code_Point, for a class of a regular expression; \p{Cf} has the rest of it. */
export const IGNORABLE = '\\u034F\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u2065\\u3164\\uFE00-\\uFE0F\\uFFA0'
  + '\\uFFF0-\\uFFF8\\u{E0000}-\\u{E0FFF}';

/** Letters and symbols without a shape, for such a class. */
export const BLANK_GLYPHS = '\\u2800\\uFFFC\\u{13441}\\u{13442}\\u{1D159}';

// Format characters that are drawn, such as Arabic's number sign.
const DRAWN = '\\u0600-\\u0605\\u06DD\\u070F\\u0890\\u0891\\u08E2\\u{110BD}\\u{110CD}';
// The browser may not know an emoji or an ideograph of a later version of Unicode.
const LATER = '\\u{1F000}-\\u{1FAFF}\\u{20000}-\\u{2FFFD}\\u{30000}-\\u{3FFFD}';
const VISIBLE = new RegExp(
  `(?![${IGNORABLE}${BLANK_GLYPHS}])[\\p{L}\\p{N}\\p{P}\\p{S}\\p{Mc}${DRAWN}${LATER}]`,
  'u',
);

/** Returns whether no character of a text is visible by itself. */
export function isBlank(text) {
  return !VISIBLE.test(text);
}
