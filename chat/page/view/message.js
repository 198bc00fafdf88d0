/*
 * The element of one message: a chat message, or a line about an event in the room.
 */

import { locale, pieces, t } from '../strings.js';
import { find, fromTemplate, showAvatar, toneOf } from './dom.js';
import { fold, isLong } from './folding.js';
import { nameElement, sentence, showSentence, showText, tagElement } from './text.js';

const GROUPED_WITHIN = 5 * 60_000;

// Errors about a text, which the user can change, and others that sending it again does not change either.
const TEXT_ERRORS = ['empty', 'too_long', 'bad_data', 'bad_event', 'bad_json', 'bad_key'];
const FINAL_ERRORS = [...TEXT_ERRORS, 'unknown_event', 'unknown_message', 'unknown_person', 'yourself'];

let lastPart = 0; // the number of the last element that has an id

// In the browser's locale, which may differ from the language of the texts.
const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'short' });
const calendar = new Intl.DateTimeFormat(locale, { dateStyle: 'full' });
const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium' });

/**
 * Returns the element of a message in the log. A `deleted` message has none: it changes another. If that fails, the
 * element has the message's plain text, so that the log goes on behind it.
 */
export function messageElement(message, you) {
  try {
    return message.kind === 'said' ? saidElement(message, you) : lineElement(message);
  } catch (error) {
    console.error(error);
    return plainElement(message);
  }
}

/** Returns the element of a message of the user that is not in the log yet. */
export function unsentElement({ key, data }, you) {
  const element = fromTemplate('message-template');
  element.classList.add('own', 'first');
  element.dataset.key = key;
  element.dataset.from = you;
  showPlainName(element, you);
  showText(find(element, '.text'), data.text);
  find(element, 'time').remove();
  find(element, '.delete').remove();
  label(element, ['.name', '.text', '.delivery']);
  return element;
}

/** Shows what the user can do with a message that could not be sent. */
export function showChoices(element, { state, error }) {
  find(element, '.choices').hidden = state !== 'failed';
  find(element, '.retry').hidden = FINAL_ERRORS.includes(error?.code);
  find(element, '.edit').hidden = !TEXT_ERRORS.includes(error?.code);
}

/** Replaces the text of a deleted message. `by` is the name of the user who has deleted it, unless it is the author. */
export function showDeleted(element, by) {
  element.classList.add('deleted');
  if (by) showSentence(find(element, '.text'), 'log.deleted_by', { name: by });
  else find(element, '.text').textContent = t('log.deleted');
  find(element, '.unfold')?.remove();
  find(element, '.delete')?.remove();
}

/** Hides the text of a message by a blocked user, or shows it again. */
export function showBlocked({ element, message }, blocked) {
  if (message.kind !== 'said' || element.classList.contains('deleted')) return;
  element.classList.toggle('hidden-text', blocked);
  if (blocked) find(element, '.text').textContent = t('log.blocked');
  else showText(find(element, '.text'), message.text ?? '');
}

/** Hides the texts of the messages by blocked users, and shows the others. `entries` are those of `placeAfter`. */
export function showBlockedIn(entries, blocked) {
  for (const entry of entries) {
    const isHidden = entry.element.classList.contains('hidden-text');
    if (isHidden !== blocked.has(entry.message.from)) showBlocked(entry, !isHidden);
  }
}

/**
 * Updates what depends on the previous message: the separator for a new day, the one
 * before the first unread message, and whether this message starts a group. If that fails, the message is there
 * without them.
 */
export function placeAfter(entry, previous, isUnread) {
  try {
    place(entry, previous, isUnread);
  } catch (error) {
    console.error(error);
  }
}

function place(entry, previous, isUnread) {
  const { message, element } = entry;
  const day = new Date(message.time).toDateString();
  const isNewDay = day !== (previous && new Date(previous.message.time).toDateString());
  entry.before?.remove();
  entry.before = null;
  if (isNewDay || isUnread) {
    entry.before = document.createElement('div');
    if (isNewDay) entry.before.append(separator('day', calendar.format(message.time)));
    if (isUnread) entry.before.append(separator('unread', t('log.unread')));
    element.before(entry.before);
  }
  const last = previous?.message;
  element.classList.toggle('first', entry.before !== null || last?.kind !== 'said' || last.from !== message.from
    || Math.abs(message.time - last.time) > GROUPED_WITHIN);
}

export function separator(kind, text) {
  const line = document.createElement('p');
  line.className = 'line separator';
  line.dataset.kind = kind;
  line.textContent = text;
  return line;
}

function saidElement({ seq, from, text, time, deleted, by, gone }, you) {
  const element = fromTemplate('message-template');
  const own = from === you && !gone; // a user who is gone had the same name before
  element.classList.toggle('own', own);
  element.dataset.seq = seq;
  element.dataset.from = from;
  element.dataset.state = 'sent';
  element.dataset.tone = toneOf(from);
  showAvatar(find(element, '.avatar'), from);
  if (own || gone) showPlainName(element, from);
  else find(element, '.name').textContent = from;
  if (gone) showGone(find(element, '.name'));
  const stamp = find(element, 'time');
  stamp.textContent = clock.format(time);
  stamp.title = moment.format(time);
  stamp.dateTime = new Date(time).toISOString();
  find(element, '.delivery').remove();
  find(element, '.choices').remove();
  showText(find(element, '.text'), text ?? '');
  if (text && isLong(text)) fold(element);
  if (deleted) showDeleted(element, by);
  label(element, ['.name', '.text', 'time']);
  return element;
}

/** The element of a message that cannot be shown as usual. It uses nothing that may have failed. */
function plainElement({ seq, from, kind, text }) {
  const element = document.createElement('article');
  element.className = 'message';
  element.tabIndex = -1;
  element.dataset.seq = seq;
  element.dataset.from = from;
  element.dataset.kind = kind;
  element.dataset.state = 'sent';
  const bubble = document.createElement('div');
  bubble.className = 'bubble';
  for (const [name, content] of [['name', from], ['text', text ?? '']]) {
    const part = document.createElement('p');
    part.className = name;
    part.dir = 'auto';
    part.textContent = content;
    bubble.append(part);
  }
  element.append(bubble);
  return element;
}

/** Shows a name that opens no dialog: the user's own, or that of an account that no longer exists. */
function showPlainName(element, name) {
  const plain = document.createElement('span');
  plain.className = 'name';
  plain.dir = 'auto';
  plain.textContent = name;
  find(element, '.name').replaceWith(plain);
}

/** Says beside a name that its account no longer exists: another user may have the same name now. */
function showGone(name) {
  const whose = document.createElement('bdi');
  whose.append(...name.childNodes);
  name.append(whose, ' ', tagElement(t('user.is_gone')));
  name.title = t('user.gone');
}

/** Names a message for screen readers by parts of itself, so that the name follows each change of them. */
function label(element, selectors) {
  const parts = selectors.map((selector) => find(element, selector));
  parts.forEach((part) => { part.id = `message-part-${lastPart += 1}`; });
  element.setAttribute('aria-labelledby', parts.map(({ id }) => id).join(' '));
}

function lineElement({ seq, from, kind, who, role, text, time }) {
  const line = document.createElement('p');
  line.className = 'line';
  line.dataset.seq = seq;
  line.dataset.kind = kind;
  line.append(...(kind === 'topic' && text ? topicLine({ from, text }) : eventLine({ from, kind, who, role })));
  line.title = moment.format(time);
  return line;
}

function topicLine({ from, text }) {
  const topic = document.createElement('bdi');
  showText(topic, text);
  return pieces('log.topic', { from, text }).map(({ name, text: piece }) => {
    if (name === 'text') return topic;
    return name ? nameElement(piece) : piece;
  });
}

function eventLine({ from, kind, who, role }) {
  switch (kind) {
    case 'topic': return sentence('log.no_topic', { from });
    case 'role': return sentence(role === 'owner' ? 'log.owner' : 'log.no_owner', { from, who });
    case 'joined':
    case 'left': return sentence(`log.${kind}`, { from });
    case 'kicked':
    case 'banned':
    case 'unbanned': return sentence(`log.${kind}`, { from, who });
    default: return sentence('log.unknown', { from }); // From a newer server.
  }
}
