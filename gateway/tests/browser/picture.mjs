// A picture of a page for the README: as a phone shows it, as a desktop does, or both side by side.
//
//   node picture.mjs --url http://gym.example:8080/_einlass/wait --out page.png
//                    [--view phone|desktop|both] [--locale de-DE] [--settle-ms 500]

import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { launch } from './chromium.mjs';

const SIZES = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 844 },
};

const { values: options } = parseArgs({
  options: {
    url: { type: 'string' },
    out: { type: 'string' },
    view: { type: 'string', default: 'both' },
    locale: { type: 'string', default: 'de-DE' },
    'settle-ms': { type: 'string', default: '500' },
  },
});
const views = options.view === 'both' ? ['desktop', 'phone'] : [options.view];
if (!options.url || !options.out || !views.every((view) => view in SIZES)) {
  console.error('picture.mjs: --url URL --out FILE [--view phone|desktop|both]');
  process.exit(2);
}

const browser = await launch(new URL(options.url).hostname);
try {
  // One context: both views are the same pupil, with the same place in the line.
  const context = await browser.newContext({ locale: options.locale, deviceScaleFactor: 2 });
  const shots = [];
  for (const view of views) shots.push({ ...SIZES[view], png: await take(context, SIZES[view]) });
  await writeFile(options.out, shots.length === 1 ? shots[0].png : await besideEachOther(context, shots));
} finally {
  await browser.close();
}
console.log(options.out);

async function take(context, size) {
  const page = await context.newPage();
  await page.setViewportSize(size);
  await page.goto(options.url, { waitUntil: 'load', timeout: 30_000 });
  await page.waitForTimeout(Number(options['settle-ms']));
  const png = await page.screenshot();
  await page.close();
  return png;
}

async function besideEachOther(context, shots) {
  const gap = 48;
  const images = shots.map(
    ({ png, width, height }) =>
      `<img src="data:image/png;base64,${png.toString('base64')}" width="${width}" height="${height}"
        style="border-radius: 16px; box-shadow: 0 4px 24px rgb(0 0 0 / 0.25)">`,
  );
  const page = await context.newPage();
  await page.setViewportSize({
    width: shots.reduce((sum, { width }) => sum + width, gap * (shots.length + 1)),
    height: Math.max(...shots.map(({ height }) => height)) + 2 * gap,
  });
  await page.setContent(
    `<body style="margin: 0; padding: ${gap}px; display: flex; gap: ${gap}px; background: #e9ebee">${images.join('')}</body>`,
  );
  return page.screenshot();
}
