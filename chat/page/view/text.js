/*
 * Shows a text that a user wrote, such as a message or a topic: as text, with its web addresses as links. Shows texts
 * of the page in which a name stands.
 *
 * A text may have characters that change the direction of what follows. So each link, and what is between them, is
 * isolated from the rest (style/messages.css does the latter), and a link always reads from left to right.
 *
 * A name may have the words that the page itself uses, such as "Ada (operator)" or "Ada left and Ben". So it is an
 * element with a style of its own, and so is what the page says about a user beside their name.
 */

import { parts } from '../links.js';
import { pieces } from '../strings.js';

/** Shows a text in an element, which should isolate it from what is around: by `dir`, or as a block. */
export function showText(element, text) {
  if (element.textContent !== text) element.replaceChildren(contentOf(text));
}

/** Returns the nodes of a text of the page. Each of its values that is a text, or a list of them, is a name. */
export function sentence(key, values) {
  return pieces(key, values)
    .map(({ text, name }) => (name in values && typeof values[name] !== 'number' ? nameElement(text) : text));
}

/** Shows such a text in an element. */
export function showSentence(element, key, values) {
  showNodes(element, sentence(key, values));
}

/** Shows texts and elements in an element, unless it has the same text already. */
export function showNodes(element, nodes) {
  const content = document.createDocumentFragment();
  content.append(...nodes);
  if (element.textContent !== content.textContent) element.replaceChildren(content);
}

/** Returns the element of a name in a text of the page. */
export function nameElement(name) {
  const element = document.createElement('bdi');
  element.className = 'named';
  element.textContent = name;
  return element;
}

/** Returns the element of what the page says about a user, beside their name: `text`, such as "guest". */
export function tagElement(text) {
  const element = document.createElement('span');
  element.className = 'tag';
  element.textContent = text;
  return element;
}

// A fault in finding the links of a text must not take the text, or those after it, from the reader.
function contentOf(text) {
  const content = document.createDocumentFragment();
  try {
    const found = parts(text);
    if (found.some(({ href }) => href)) found.forEach((part) => content.append(elementOf(part)));
    else content.append(text);
  } catch (error) {
    console.error(error);
    content.replaceChildren(text);
  }
  return content;
}

function elementOf({ text, href, host }) {
  const element = document.createElement(href ? 'a' : 'span');
  element.className = href ? 'address' : 'words';
  element.textContent = text;
  if (!href) return element;
  element.href = href;
  element.dir = 'ltr';
  element.rel = 'noopener noreferrer nofollow';
  element.target = '_blank';
  if (host) element.dataset.host = host; // Shown after the address.
  return element;
}
