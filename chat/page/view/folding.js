/*
 * Long messages are folded: one alone could fill many screens, with line breaks, or with wide
 * characters without any.
 */

import { t } from '../strings.js';
import { find } from './dom.js';

const MAX_LINES = 40; // of a message on a phone before it is folded
const LINE_WIDTH = 40; // of a phone, in Latin letters

/** Returns whether a text has more lines than a message shows unfolded. It is an estimate: a layout takes longer. */
export function isLong(text) {
  let lines = 1;
  let width = 0;
  for (const character of text) {
    width += widthOf(character.codePointAt(0));
    if (character === '\n' || width > LINE_WIDTH) {
      lines += 1;
      width = 0;
    }
    if (lines > MAX_LINES) return true;
  }
  return false;
}

// In Latin letters. Wide are ligatures of Arabic words, cuneiform, long dashes, ideographs and symbols.
function widthOf(code) {
  if (code >= 0xFDF0 && code <= 0xFDFF) return 16;
  if (code >= 0x12000 && code <= 0x1254F) return 8;
  if (code === 0x2E3A || code === 0x2E3B) return 6;
  return code < 0x1100 ? 1 : 2;
}

/**
 * Shows the first lines of a text, and a button that shows all of them. So does the focus on a link below these lines.
 * The element then fires `unfold`.
 */
export function fold(element) {
  const text = find(element, '.text');
  const button = document.createElement('button');
  const unfold = () => {
    text.classList.remove('folded');
    button.remove();
    element.dispatchEvent(new Event('unfold', { bubbles: true }));
  };
  button.type = 'button';
  button.className = 'unfold';
  button.textContent = t('more');
  button.addEventListener('click', () => {
    unfold();
    element.focus({ preventScroll: true });
  });
  text.addEventListener('focusin', ({ target: link }) => {
    if (link.getBoundingClientRect().bottom <= text.getBoundingClientRect().bottom + 1) return;
    unfold();
    link.scrollIntoView({ block: 'nearest' });
  });
  text.classList.add('folded');
  text.after(button);
}
