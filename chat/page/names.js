/*
 * The order of names and the search in them, as a reader expects them: case and accents do
 * not count, nor the kind of apostrophes and dashes. The server searches by the same rules.
 */

import { language } from './strings.js';

const collator = new Intl.Collator(language);

// Accents, and the points of Hebrew and Arabic. Marks of other scripts make another letter.
const MARKS = /[\u0300-\u036F\u0591-\u05C7\u0610-\u061A\u064B-\u065F\u0670\u200C\u200D\uFE0E\uFE0F]/g;

/** Compares two names, for `sort`. */
export const byName = (a, b) => collator.compare(a, b);

/** Returns a text as the search compares it. */
export function fold(text) {
  return text.normalize('NFKD').replace(MARKS, '')
    .replace(/[‘’‚‛ʼ]/g, "'").replace(/[“”„‟]/g, '"').replace(/[‐‒–—−]/g, '-')
    .toUpperCase().toLowerCase().replaceAll('ς', 'σ');
}
