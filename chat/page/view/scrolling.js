/*
 * Keeps the visible messages in view. A user at the end stays there when heights change
 * (by a message, the composer, a phone's keyboard). A user who reads further up is not
 * moved by messages that are added above or below.
 */

const AT_END = 40;
const NEAR_TOP = 800;

export class Scrolling {
  #element;
  #content;
  #moved;
  #isAtEnd = true;
  #savedTop = 0; // the scroll position when the element was hidden
  #heights = ''; // at the last resize notification

  /** `moved()` is called when scrolling or a resize has changed the visible part. */
  constructor(element, content, moved) {
    this.#element = element;
    this.#content = content;
    this.#moved = moved;
    element.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    const observer = new ResizeObserver(() => this.#resized());
    observer.observe(element);
    observer.observe(content);
  }

  get isAtEnd() {
    return this.#isAtEnd;
  }

  get isNearTop() {
    return this.#element.clientHeight > 0 && this.#element.scrollTop < NEAR_TOP;
  }

  toEnd() {
    this.#isAtEnd = true;
    this.#element.scrollTop = this.#element.scrollHeight;
    this.#moved();
  }

  /** Saves the scroll position before the element is hidden, which resets it. */
  save() {
    this.#savedTop = this.#element.scrollTop;
  }

  /** Restores the scroll position when the element is shown again. */
  restore() {
    this.#element.scrollTop = this.#isAtEnd ? this.#element.scrollHeight : this.#savedTop;
  }

  /** Runs a change above the visible part without moving that part. */
  above(change) {
    const fromEnd = this.#element.scrollHeight - this.#element.scrollTop;
    change();
    this.#element.scrollTop = this.#element.scrollHeight - fromEnd;
    this.#heights = this.#heightsNow();
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#element;
    if (clientHeight === 0) return;
    if (scrollHeight - scrollTop - clientHeight < AT_END) this.#isAtEnd = true;
    // A height change scrolls too, and the observer is notified of it later. Only a
    // scroll by the user leaves the end.
    else if (this.#heightsNow() === this.#heights) this.#isAtEnd = false;
    this.#moved();
  }

  #resized() {
    if (this.#element.clientHeight === 0) return;
    this.#heights = this.#heightsNow();
    if (this.#isAtEnd) this.#element.scrollTop = this.#element.scrollHeight;
    this.#moved();
  }

  #heightsNow() {
    return `${this.#content.offsetHeight} ${this.#element.clientHeight}`;
  }
}
