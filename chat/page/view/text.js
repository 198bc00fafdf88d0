/*
 * Shows a text that a user wrote, such as a message or a topic: as text, with its web addresses as links.
 *
 * A text may have characters that change the direction of what follows. So each link, and what is between them, is
 * isolated from the rest (style/messages.css does the latter), and a link always reads from left to right.
 */

import { parts } from '../links.js';

/** Shows a text in an element, which should isolate it from what is around: by `dir`, or as a block. */
export function showText(element, text) {
  if (element.textContent !== text) element.replaceChildren(contentOf(text));
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
