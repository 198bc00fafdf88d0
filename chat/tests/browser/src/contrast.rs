//! Compares the colours of each text on a page with those behind it, also where axe-core does not look: text that
//! styles add before and after elements, placeholders, and values of fields.

use serde_json::json;

use crate::Page;

impl Page {
    /// Checks that the contrast of all texts that are shown is at least 4.5 to 1, which WCAG 2.2 (1.4.3) asks of small
    /// text, in the light and in the dark theme. Disabled controls are exempt, as in WCAG. Background images do not
    /// count.
    #[track_caller]
    pub fn assert_legible(&self, what: &str) {
        for theme in ["light", "dark"] {
            let faint = self.evaluate(&FAINT.replace("THEME", theme));
            assert_eq!(faint, json!([]), "{what}, {theme}: {faint:#}");
        }
    }
}

const FAINT: &str = "(async () => {
    const MIN_CONTRAST = 4.5;
    const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const known = new Map();
    // Red, green, blue (0 to 255) and opacity (0 to 1) of a computed colour, in whatever notation.
    const rgba = (color) => {
        if (!known.has(color)) {
            context.clearRect(0, 0, 1, 1);
            context.fillStyle = color;
            context.fillRect(0, 0, 1, 1);
            const [red, green, blue, opacity] = context.getImageData(0, 0, 1, 1).data;
            known.set(color, [red, green, blue, opacity / 255]);
        }
        return known.get(color);
    };
    const mix = (front, back, opacity) => front.map((value, index) => opacity * value + (1 - opacity) * back[index]);
    const over = (color, back) => {
        const [red, green, blue, opacity] = rgba(color);
        return mix([red, green, blue], back, opacity);
    };
    // The colours of a text in the innermost of these elements, and behind it. `text` is its style.
    const seen = ([style, ...inner], text, back) => {
        const ground = over(style.backgroundColor, back);
        if (inner.length > 0) return seen(inner, text, ground).map((color) => mix(color, back, style.opacity));
        const drawn = over(text.color, ground);
        const colors = [text === style ? drawn : mix(drawn, ground, text.opacity), ground];
        return colors.map((color) => mix(color, back, style.opacity));
    };
    const luminance = (color) => color.map((value) => value / 255)
        .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
        .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
    const contrast = (colors) => {
        const [darker, lighter] = colors.map(luminance).sort((a, b) => a - b);
        return (lighter + 0.05) / (darker + 0.05);
    };
    const isForScreenReaders = (element) => {
        for (let each = element; each; each = each.parentElement) {
            if (getComputedStyle(each).clipPath === 'inset(50%)') return true;
        }
        return false;
    };
    const isEmpty = (content) => ['none', 'normal', '', '\"\"'].includes(content);
    const textsOf = (element) => {
        const texts = [];
        const isField = element.matches('input:not([type=radio]), textarea, select');
        const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (hasText || (isField && element.value)) texts.push('');
        if (isField && element.placeholder && !element.value) texts.push('::placeholder');
        for (const part of ['::before', '::after']) {
            if (!isEmpty(getComputedStyle(element, part).content)) texts.push(part);
        }
        return texts;
    };
    // Elements that appear are transparent at first.
    const animations = document.getAnimations().filter(({ effect }) => effect.getComputedTiming().endTime < Infinity);
    await Promise.allSettled(animations.map(({ finished }) => finished));
    const { dataset } = document.documentElement;
    const themeBefore = dataset.theme;
    dataset.theme = 'THEME';
    const faint = [];
    for (const element of document.querySelectorAll('body, body *:not(script, noscript, template, option)')) {
        if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
        if (element.closest(':disabled, [aria-disabled=true]') || isForScreenReaders(element)) continue;
        const around = [];
        for (let each = element; each; each = each.parentElement) around.unshift(getComputedStyle(each));
        for (const part of textsOf(element)) {
            const text = part ? getComputedStyle(element, part) : around.at(-1);
            const ratio = contrast(seen(around, text, [255, 255, 255]));
            if (ratio < MIN_CONTRAST) faint.push(`${ratio.toFixed(2)}${part}: ${element.outerHTML.slice(0, 200)}`);
        }
    }
    dataset.theme = themeBefore;
    return faint;
})()";
