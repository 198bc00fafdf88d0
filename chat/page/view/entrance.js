/*
 * Where one says who one is: logs in, makes an account, or comes as a guest. It also
 * covers the chat when a session has ended, and leaves it as it was.
 */

import { say, sentenceOf } from '../words.js';
import { $, lengthOf, setText } from './dom.js';
import { kept } from './memory.js';

const LONGEST_NAME = 32;
const SHORTEST_PASSWORD = 8;
const TRY_AGAIN = 3_000;
// The faults of a password; the others are the name's.
const OF_PASSWORD = ['bad_password', 'bad_credentials'];

// Why a session may have ended, of which a newer server may know more.
const ENDS = ['none', 'unknown', 'idle', 'lifetime', 'logout', 'revoked', 'deleted'];

const lastName = kept('localStorage', 'name');

export class Entrance {
  #client;
  #entered;

  /** `entered(you)` is called when somebody has signed in. */
  constructor({ client, entered }) {
    this.#client = client;
    this.#entered = entered;
    $('modes').addEventListener('change', () => this.#showMode());
    $('password-show').addEventListener('click', () => this.#togglePassword());
    $('entrance-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** Who is signed in already enters at once, all others are asked. */
  async begin() {
    try {
      const { you, guests, registration } = await this.#client.session();
      $('mode-guest').parentElement.hidden = !guests;
      $('mode-register').parentElement.hidden = !registration;
      $('modes').hidden = !guests && !registration;
      if (you) this.#entered(you);
      else this.show();
    } catch (error) {
      if ($('entrance').hidden) this.show();
      this.#complain(sentenceOf(error));
      setTimeout(() => this.begin(), TRY_AGAIN);
    }
  }

  /** Asks who one is; with a `reason`, why the session has ended, which may have been a guest's. */
  show({ reason = null, guest = false } = {}) {
    const wasHidden = $('entrance').hidden;
    $('entrance').hidden = false;
    $('chat').inert = true;
    $('chat').classList.add('behind');
    // Who is asked again has been in before.
    if (wasHidden) $(guest ? 'mode-guest' : 'mode-login').checked = true;
    this.#showMode();
    const end = ENDS.includes(reason) ? reason : 'unknown';
    $('entrance-lead').textContent = reason ? say(`expired.${end}`) : say('entrance.lead');
    if (!wasHidden) return;
    $('name').value = lastName.load() ?? '';
    $('password').value = '';
    (reason && !guest && $('name').value ? $('password') : $('name')).focus();
  }

  hide() {
    $('entrance').hidden = true;
    $('password').value = '';
    $('chat').hidden = false;
    $('chat').inert = false;
    $('chat').classList.remove('behind');
  }

  get #mode() {
    return document.querySelector('input[name="mode"]:checked').value;
  }

  #showMode() {
    const mode = this.#mode;
    $('password-part').hidden = mode === 'guest';
    $('password').autocomplete = mode === 'register' ? 'new-password' : 'current-password';
    $('password-hint').textContent = mode === 'register' ? say('entrance.password_hint') : '';
    $('name-hint').textContent = mode === 'login' ? '' : say('entrance.name_hint');
    $('entrance-title').textContent = say(`entrance.title_${mode}`);
    $('enter').textContent = say(`entrance.enter_${mode}`);
    this.#complain('');
  }

  #togglePassword() {
    const shown = $('password').type === 'text';
    $('password').type = shown ? 'password' : 'text';
    $('password-show').ariaPressed = String(!shown);
  }

  async #submit() {
    const mode = this.#mode;
    const name = $('name').value.trim();
    const password = $('password').value;
    const length = lengthOf(name);
    if (length === 0) return this.#complain(say('entrance.no_name'), $('name'));
    if (length > LONGEST_NAME) return this.#complain(say('entrance.long_name', { count: length }), $('name'));
    if (mode === 'login' && !password) return this.#complain(say('entrance.no_password'), $('password'));
    if (mode === 'register' && lengthOf(password) < SHORTEST_PASSWORD) {
      return this.#complain(say('entrance.short_password'), $('password'));
    }

    this.#complain('');
    $('enter').disabled = true;
    try {
      const { you } = await this.#client[mode]({ name, password });
      lastName.save(you.name);
      this.#entered(you);
    } catch (error) {
      const field = OF_PASSWORD.includes(error.code) && mode !== 'guest' ? $('password') : $('name');
      this.#complain(sentenceOf(error), field);
    } finally {
      $('enter').disabled = false;
    }
  }

  #complain(text, field = null) {
    setText($('entrance-note'), text);
    for (const each of [$('name'), $('password')]) each.ariaInvalid = String(each === field);
    field?.focus();
  }
}
