/*
 * Finds the web addresses in a text. An address starts with http or https, and has no user
 * name or password that could be mistaken for the host. A character that cannot be seen, or
 * that changes the direction of text, would make an address read as another one: what it
 * touches is no address. The time is proportional to the text.
 */

import { BLANK_GLYPHS, IGNORABLE } from './blank.js';

// Quotation marks, and the punctuation of Chinese and Japanese, which has no space after it, end an address.
const ENDS = '\\s<>"\'`‘’“”„«»‹›，。；：！？、《》〈〉「」『』【】〔〕';
// Controls except white space, formats, and what is not assigned; what is ignorable or blank; white space that has no
// width, or hardly any.
const HIDDEN = '\\0-\\x08\\x0E-\\x1F\\x7F-\\x9F\\p{Cf}\\p{Cn}\\p{Co}\\p{Cs}'
  + `${IGNORABLE}${BLANK_GLYPHS}\\v\\f\\u200A\\u2028\\u2029\\uFEFF`;
// An emoji may have a variation selector, which changes nothing else.
const ADDRESS = new RegExp(`\\bhttps?:\\/\\/(?:\\p{Extended_Pictographic}\\uFE0F|[^${ENDS}${HIDDEN}])+`, 'giu');
const IS_HIDDEN = new RegExp(`[${HIDDEN}]`, 'u');
const WORD = new RegExp(`(?:[${HIDDEN}]|\\S)*`, 'uy');
const TRAILING = '.,;:!?…*_~';
const BRACKETS = new Map([['(', ')'], ['[', ']'], ['{', '}'], ['（', '）']]);
const MAX_HOST_LENGTH = 253; // of a name in the DNS
const MAX_LINKS = 100; // in a text: each is an element of the page

/**
 * Splits a text into parts, `{text}` or `{text, href, host}`. Joined, they are the whole text. `host` is where the
 * address leads if that is written differently in it, such as with letters that are not ASCII, or else null. At most
 * 100 addresses are links.
 */
export function parts(text) {
  const found = [];
  let end = 0;
  let links = 0;
  let hiddenEnd = 0; // of the last word that has an address and a hidden character beside it
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    if (index < hiddenEnd) continue;
    if (touchesHidden(text, index, index + match.length)) {
      hiddenEnd = endOfWord(text, index);
      continue;
    }
    const address = trimmed(match);
    const target = targetOf(address);
    if (!target) continue;
    links += 1;
    if (links > MAX_LINKS) break;
    if (index > end) found.push({ text: text.slice(end, index) });
    found.push({ text: address, ...target });
    end = index + address.length;
  }
  if (end < text.length) found.push({ text: text.slice(end) });
  return found;
}

function touchesHidden(text, start, end) {
  const before = [...text.slice(Math.max(start - 2, 0), start)].at(-1) ?? '';
  const [after = ''] = text.slice(end, end + 2);
  return IS_HIDDEN.test(before) || IS_HIDDEN.test(after);
}

function endOfWord(text, start) {
  WORD.lastIndex = start;
  WORD.test(text);
  return WORD.lastIndex;
}

// A full stop at the end belongs to the sentence, not to the address, and so does a bracket that closes one before it.
function trimmed(address) {
  const unopened = new Map([...BRACKETS.values()].map((closing) => [closing, 0]));
  for (const character of address) {
    const closing = BRACKETS.get(character) ?? character;
    if (unopened.has(closing)) unopened.set(closing, unopened.get(closing) + (closing === character ? 1 : -1));
  }
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1];
    const surplus = unopened.get(last);
    if (surplus > 0) unopened.set(last, surplus - 1);
    else if (!TRAILING.includes(last)) break;
  }
  return address.slice(0, end);
}

function targetOf(address) {
  const written = address.slice(address.indexOf('//') + 2).split(/[/?#\\]/, 1)[0].toLowerCase();
  if (written.length > MAX_HOST_LENGTH) return null;
  let url;
  try {
    url = new URL(address);
  } catch {
    return null; // It is no address.
  }
  const { href, protocol, username, password, hostname } = url;
  const isWeb = protocol === 'http:' || protocol === 'https:';
  if (!isWeb || username || password) return null;
  const isPlain = written === hostname || written.startsWith(`${hostname}:`);
  return { href, host: isPlain ? null : hostname };
}
