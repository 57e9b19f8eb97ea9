'use strict';

// The page is whole without this script, which adds sorting, the choice of a
// condition, and sliders in place of pictures side by side.

function makeSortable(table) {
  const headings = [...table.querySelector('.sortable').cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener('click', () => {
      const numeric = heading.classList.contains('n');
      const sort = heading.ariaSort ?? (numeric ? 'ascending' : 'descending');
      const descending = sort === 'ascending';
      headings.forEach((other) => other.removeAttribute('aria-sort'));
      heading.ariaSort = descending ? 'descending' : 'ascending';
      const rows = [...body.rows].sort((first, second) => compareCells(
        first.cells[column], second.cells[column], numeric, descending));
      body.append(...rows);
    });
  });
}

function compareCells(first, second, numeric, descending) {
  const sign = descending ? -1 : 1;
  if (!numeric) {
    return sign * first.textContent.localeCompare(
      second.textContent, undefined, {numeric: true});
  }
  const [a, b] = [first, second].map((cell) => Number(cell.dataset.value));
  // What is not a number comes last, whichever way.
  if (Number.isNaN(a) || Number.isNaN(b)) {
    return Number.isNaN(a) - Number.isNaN(b);
  }
  return a === b ? 0 : sign * (a < b ? -1 : 1);
}

function makeFilter(select, table) {
  select.addEventListener('change', () => {
    for (const row of table.tBodies[0].rows) {
      row.hidden = select.value !== ''
        && row.dataset.condition !== select.value;
    }
  });
}

function makeSlider(panes, number) {
  const byName = new Map(
    [...panes.children].map((pane) => [pane.dataset.name, pane]));
  const slider = document.createElement('input');
  slider.type = 'range';
  slider.value = '50';
  const grip = document.createElement('span');
  grip.className = 'grip';
  grip.textContent = '↔';
  grip.ariaHidden = 'true';
  panes.classList.add('stage');
  panes.append(grip, slider);

  let shown = [];
  function move() {
    panes.style.setProperty('--at', `${slider.value}%`);
    slider.setAttribute('aria-valuetext',
      `${slider.value} % ${shown[0]}, the rest ${shown[1]}`);
  }
  function choose(left, right) {
    shown = [left, right];
    for (const [name, pane] of byName) {
      pane.classList.toggle('left', name === left);
      pane.classList.toggle('right', name === right);
    }
    slider.setAttribute('aria-label', `Border between ${left} and ${right}`);
    move();
  }
  slider.addEventListener('input', move);
  const pairs = [
    ['input', 'restored'], ['restored', 'ground truth'],
    ['input', 'ground truth'],
  ].filter((pair) => pair.every((name) => byName.has(name)));
  choose(...pairs[0]);
  if (pairs.length > 1) {
    panes.before(makeChoice(pairs, number, choose));
  }
}

function makeChoice(pairs, number, choose) {
  const choice = document.createElement('fieldset');
  choice.className = 'choice';
  const legend = document.createElement('legend');
  legend.className = 'visually-hidden';
  legend.textContent = 'What to compare';
  choice.append(legend);
  pairs.forEach((pair, index) => {
    const label = document.createElement('label');
    const radio = document.createElement('input');
    radio.type = 'radio';
    radio.name = `choice-${number}`;
    radio.checked = index === 0;
    radio.addEventListener('change', () => choose(...pair));
    label.append(radio, pair.join(' | ').replace('ground ', ''));
    choice.append(label);
  });
  return choice;
}

const table = document.getElementById('picture-table');
makeSortable(table);
makeFilter(document.getElementById('condition'), table);
document.querySelectorAll('.panes').forEach(makeSlider);
for (const element of document.querySelectorAll('.needs-script')) {
  element.hidden = false;
}
