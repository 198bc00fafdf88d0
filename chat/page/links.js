/*
 * Finds the web addresses in a text. An address starts with http or https, has no user
 * name or password that could be mistaken for the host, and no character that is
 * invisible or changes the direction of text.
 */

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\p{C}\u2028\u2029]+/giu;
const TRAILING = /[.,;:!?…*_~。，；：！？、）】》」』]+$/u;
const PAIRS = { ')': '(', ']': '[', '}': '{' };

/** Splits a text into parts, `{text}` or `{text, href}`. Joined, they are the whole text. */
export function parts(text) {
  const found = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    const address = trimmed(match);
    const href = hrefOf(address);
    if (!href) continue;
    if (index > end) found.push({ text: text.slice(end, index) });
    found.push({ text: address, href });
    end = index + address.length;
  }
  if (end < text.length) found.push({ text: text.slice(end) });
  return found;
}

// A full stop or closing bracket at the end belongs to the sentence, not to the address.
function trimmed(address) {
  const shorter = address.replace(TRAILING, '');
  const last = shorter.at(-1);
  const opening = PAIRS[last];
  if (opening && count(shorter, last) > count(shorter, opening)) return trimmed(shorter.slice(0, -1));
  return shorter;
}

function count(text, character) {
  return text.split(character).length - 1;
}

function hrefOf(address) {
  if (!URL.canParse(address)) return null;
  const { href, protocol, username, password } = new URL(address);
  const web = protocol === 'http:' || protocol === 'https:';
  return web && !username && !password ? href : null;
}
