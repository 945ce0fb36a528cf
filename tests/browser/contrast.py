"""The contrast of words, looked at once for each pair of colours that stand on each other in the same way.

Pages share their head, strip, tables and buttons: what was found in order on one page is not measured on the next ninety.
"""

from __future__ import annotations

from playwright.sync_api import Page

# Words whose chain of boxes, with what each is painted with, was not met before; what stands behind them follows from it.
FRESH = """known => {
    const was = new Set(known), fresh = [], marks = [], chains = new Map([[null, ""]]);
    const chain = one => {
        if (!chains.has(one)) {
            const style = getComputedStyle(one), kind = one.getAttribute("class") ?? "";
            chains.set(one, `${chain(one.parentElement)}>${one.localName}.${kind}|${style.backgroundColor}|`
                + `${style.backgroundImage}|${style.opacity}`);
        }
        return chains.get(one);
    };
    const digest = text => {
        let one = 0xdeadbeef, other = 0x41c6ce57;
        for (let at = 0; at < text.length; at++) {
            one = Math.imul(one ^ text.charCodeAt(at), 2654435761);
            other = Math.imul(other ^ text.charCodeAt(at), 1597334677);
        }
        return (other >>> 0) * 2097152 + (one >>> 11);
    };
    const look = one => {
        if (!one.checkVisibility({visibilityProperty: true})) return;
        const style = getComputedStyle(one);
        const mark = digest(`${chain(one)}|${style.color}|${style.fontSize}|${style.fontWeight}`);
        if (was.has(mark)) return;
        was.add(mark), marks.push(mark), fresh.push(one);
    };
    const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) if (words.currentNode.data.trim()) look(words.currentNode.parentElement);
    document.querySelectorAll("input, select, textarea").forEach(look);
    if (!fresh.length) return [[], marks];
    return axe.run({include: fresh}, {runOnly: ["color-contrast"], resultTypes: ["violations"]}).then(found => [
        found.violations.flatMap(rule => rule.nodes.map(node => node.html.slice(0, 160) + " "
            + node.any.map(check => check.message).join(" ").slice(0, 120))), marks]);
}"""


class Contrast:
    """What was looked at already, in whatever colours."""

    def __init__(self) -> None:
        self.known: list[int] = []

    def faults(self, page: Page) -> list[str]:
        found, marks = page.evaluate(FRESH, self.known)
        self.known += marks
        return [f"color-contrast: {fault}" for fault in found]
