/*
 * Keeps in view what the reader looks at: who is at the end stays there whatever
 * changes its height (a message, the composer, a phone's keyboard), who reads further
 * up is not moved by what comes above or below.
 */

const AT_END = 40;
const NEAR_TOP = 800;

export class Scrolling {
  #element;
  #content;
  #moved;
  #isAtEnd = true;
  #savedTop = 0; // where the reader was when the element was hidden
  #heights = ''; // at the observer's last look

  /** `moved()` is called when the reader, or a change of height, has changed what is seen. */
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

  /** The element is about to be hidden, which makes it forget its place. */
  save() {
    this.#savedTop = this.#element.scrollTop;
  }

  /** It is shown again. */
  restore() {
    this.#element.scrollTop = this.#isAtEnd ? this.#element.scrollHeight : this.#savedTop;
  }

  /** Runs a change of what is above the reader, who does not notice. */
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
    // Was it the reader who moved, or did a height change, which moves things too
    // and which the observer is about to hear of?
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
