/*
 * A dialog to choose a user: lists the online users or, with a search, all users whose
 * name starts with a text. It is used for private conversations and invitations.
 */

import { errorText, t } from '../strings.js';
import { openSearch } from './dialogs.js';
import { $, appendInPieces, debounced, find, fromTemplate, keepMatching, setText, showAvatar } from './dom.js';
import { roveFocus } from './roving.js';
import { tagElement } from './text.js';

const SEARCH_AFTER = 200;

export class UserPicker {
  #client;
  #model;
  #chosen;
  #found = [];
  #search = 0; // counts searches, to ignore the replies to earlier ones

  constructor({ client, model }) {
    this.#client = client;
    this.#model = model;
    roveFocus($('users-list'), 'button', { above: $('users-search') });
    const searchSoon = debounced(SEARCH_AFTER, () => this.#fetch());
    $('users-search').addEventListener('input', () => {
      this.#search += 1;
      keepMatching($('users-list'), $('users-search').value);
      $('users-more').hidden = true;
      searchSoon();
    });
    $('users-more').addEventListener('click', () => this.#fetch(this.#found.at(-1)?.name));
  }

  /** Opens the list; `chosen(name)` is called with the user who is clicked. */
  choose(title, chosen) {
    this.clear();
    this.#chosen = chosen;
    $('users-title').textContent = title;
    openSearch($('users-dialog'), $('users-search'));
    this.#fetch();
  }

  /** Removes what was found. */
  clear() {
    this.#search += 1;
    this.#found = [];
    $('users-search').value = '';
    appendInPieces($('users-list'), [], userElement, { first: true });
    $('users-more').hidden = true;
    $('users-note').textContent = '';
  }

  async #fetch(after) {
    const search = $('users-search').value.trim();
    const number = ++this.#search;
    try {
      const which = { ...(after && { after }), ...(search && { search }) };
      const { people, more } = await this.#client.emit('people', which);
      if (number !== this.#search) return;
      this.#found = after ? [...this.#found, ...people] : people;
      $('users-more').hidden = !more;
      const others = people.filter(({ name }) => name !== this.#model.you.name);
      const elementOf = (user) => userElement(user, () => this.#chosen(user.name));
      appendInPieces($('users-list'), others, elementOf, { first: !after });
      this.#showCount(search);
    } catch (error) {
      if (number !== this.#search) return;
      setText($('users-note'), errorText(error));
    }
  }

  #showCount(search) {
    const others = this.#found.filter(({ name }) => name !== this.#model.you.name);
    const online = t('users.online', { count: this.#model.online.count });
    const found = others.length > 0 ? t('users.found', { count: others.length }) : t('users.none');
    const alone = others.length > 0 ? online : t('users.alone');
    setText($('users-note'), search ? found : alone);
  }
}

/** Returns the list item of a user, with `tags` and those of an operator or a guest, or else with the text `aside`. */
export function userElement({ name, online, guest, operator, tags = [], aside }, chosen) {
  const element = fromTemplate('user-template');
  const button = find(element, 'button');
  button.dataset.user = name;
  button.dataset.online = online ?? '';
  showAvatar(find(button, '.avatar'), name);
  find(button, '.name').textContent = name;
  const all = [...tags, markOf({ guest, operator })].filter(Boolean);
  if (aside) find(button, '.aside').textContent = aside;
  else all.forEach((text, index) => find(button, '.aside').append(index > 0 ? ' ' : '', tagElement(text)));
  if (online) button.ariaDescription = t('user.online');
  button.addEventListener('click', chosen);
  return element;
}

/** Returns what lists say about a user: whether they are an operator or a guest. */
export function markOf({ guest, operator }) {
  if (operator) return t('user.is_operator');
  return guest ? t('user.is_guest') : '';
}
