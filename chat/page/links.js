/*
 * Finds the web addresses in a text. An address starts with http or https, has no user
 * name or password that could be mistaken for the host, and no character that is
 * invisible or changes the direction of text. The time is proportional to the text.
 */

// Quotation marks, and the punctuation of Chinese and Japanese, which has no space after it, end an address. The
// invisible characters, which have the property Default_Ignorable_Code_Point, do so except the one that emoji have.
const ADDRESS = new RegExp('\\bhttps?:\\/\\/[^'
  + '\\s<>"\'`‘’“”„«»‹›，。；：！？、《》〈〉「」『』【】〔〕'
  + '\\p{C}\\u034F\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u3164\\uFE00-\\uFE0E\\uFFA0\\u{E0000}-\\u{E0FFF}'
  + ']+', 'giu');
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
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
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
