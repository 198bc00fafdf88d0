/*
 * Finds the web addresses in a text. Only what is plainly one: it says http or https,
 * has no name or password in it that could pass for a host, and no character that is
 * invisible or turns the direction of writing.
 */

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\p{C}\u2028\u2029]+/giu;
const TRAILING = /[.,;:!?…*_~。，；：！？、）】》」』]+$/u;
const PAIRS = { ')': '(', ']': '[', '}': '{' };

/** The text in parts, `{text}` or `{text, href}`: together they are the text. */
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

// The sentence around an address ends with a stop or a bracket, not the address.
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
