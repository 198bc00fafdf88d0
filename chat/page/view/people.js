/*
 * People to choose from: who is online, or with a search all whose name begins so.
 * For a private conversation, and for an invitation.
 */

import { say, sentenceOf } from '../words.js';
import { openSearch } from './dialogs.js';
import { $, debounced, find, fromTemplate, setText, showAvatar } from './dom.js';

const SEARCH_AFTER = 200;

export class People {
  #client;
  #model;
  #chosen;
  #found = [];
  #search = 0; // counts, so that the answer to an earlier search is known

  constructor({ client, model }) {
    this.#client = client;
    this.#model = model;
    $('people-search').addEventListener('input', debounced(SEARCH_AFTER, () => this.#fetch()));
    $('people-more').addEventListener('click', () => this.#fetch(this.#found.at(-1)?.name));
  }

  /** Opens the list; `chosen(name)` gets whom somebody clicks on. */
  choose(title, chosen) {
    this.#chosen = chosen;
    $('people-title').textContent = title;
    $('people-list').replaceChildren();
    openSearch($('people-dialog'), $('people-search'));
    this.#fetch();
  }

  async #fetch(after) {
    const search = $('people-search').value.trim();
    const number = ++this.#search;
    try {
      const which = { ...(after && { after }), ...(search && { search }) };
      const { people, more } = await this.#client.emit('people', which);
      if (number !== this.#search) return;
      this.#found = after ? [...this.#found, ...people] : people;
      $('people-more').hidden = !more;
      this.#render(search);
    } catch (error) {
      setText($('people-note'), sentenceOf(error));
    }
  }

  #render(search) {
    const others = this.#found.filter(({ name }) => name !== this.#model.you.name);
    const items = others.map((person) => personElement(person, () => this.#chosen(person.name)));
    $('people-list').replaceChildren(...items);
    const online = say('people.online', { count: this.#model.online.count });
    const found = others.length > 0 ? say('people.found', { count: others.length }) : say('people.none');
    const alone = others.length > 0 ? online : say('people.alone');
    setText($('people-note'), search ? found : alone);
  }
}

/** Somebody in a list, with a word `aside` where there is one. */
export function personElement({ name, online, guest, aside }, chosen) {
  const element = fromTemplate('person-template');
  const button = find(element, 'button');
  button.dataset.person = name;
  button.dataset.online = online ?? '';
  showAvatar(find(button, '.avatar'), name);
  find(button, '.name').textContent = name;
  find(button, '.aside').textContent = aside ?? (guest ? say('person.guest') : '');
  if (online) button.ariaDescription = say('person.online');
  button.addEventListener('click', chosen);
  return element;
}
