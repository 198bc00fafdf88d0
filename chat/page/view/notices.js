/*
 * Notices, which stay until they are closed: those from operators, and unsent messages whose room is gone.
 */

import { locale, t } from '../strings.js';
import { $ } from './dom.js';
import { showText } from './text.js';

const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'short' });
const calendar = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });

const shown = new Map(); // the elements of operators' notices, by their ids
const closed = new Set(); // the ids of those that the user has closed
let dismissed = 0; // the server need not send this notice again, nor those before it

/** Shows operators' notices as they come. Returns `show(notices)`, for those that a `welcome` has. */
export function startNotices(client) {
  const show = ({ notice: id, text, from, time }) => {
    if (shown.has(id) || closed.has(id)) return;
    const isToday = new Date(time).toDateString() === new Date().toDateString();
    const source = t('notice.from', { from, time: (isToday ? clock : calendar).format(time) });
    shown.set(id, showNotice(source, text, () => {
      shown.delete(id);
      closed.add(id);
      dismiss(client);
    }));
  };
  client.on('notice', show);
  client.on('dismissed', ({ notice: last }) => hide((id) => id <= last));
  return (notices) => {
    hide((id) => !notices.some(({ notice }) => notice === id));
    notices.forEach(show);
    dismissed = 0; // The server may have missed it.
    dismiss(client);
  };
}

// Earlier notices may still be open: the server is told up to which one all are closed.
function dismiss(client) {
  const first = Math.min(...shown.keys());
  const last = Math.max(0, ...[...closed].filter((id) => id < first));
  if (last <= dismissed) return;
  dismissed = last;
  client.emit('dismiss', { notice: last }).catch(() => {}); // The next `welcome` tells.
}

function hide(isDone) {
  for (const [id, element] of shown) {
    if (!isDone(id)) continue;
    element.remove();
    shown.delete(id);
  }
}

/** Shows a notice: its source, then its text. `onClose()` is called when the user closes it. Returns its element. */
export function showNotice(source, text, onClose = () => {}) {
  const notice = document.createElement('div');
  notice.className = 'notice';
  notice.role = 'alert';
  const line = document.createElement('p');
  const what = document.createElement('b');
  what.textContent = source;
  const words = document.createElement('bdi');
  showText(words, text);
  line.append(what, ' ', words);
  const close = document.createElement('button');
  close.type = 'button';
  close.textContent = t('close');
  close.addEventListener('click', () => {
    notice.remove();
    onClose();
  });
  notice.append(line, close);
  $('notices').append(notice);
  return notice;
}

/** Removes all notices: the next user must not see them. */
export function clearNotices() {
  shown.clear();
  closed.clear();
  $('notices').replaceChildren();
}
