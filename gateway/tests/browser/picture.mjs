// A picture of a page for the README: as a phone shows it, as a desktop does, or both side by side.
//
//   node picture.mjs --url http://gym.example:8080/_einlass/wait --out page.png
//                    [--view phone|desktop|both] [--size WIDTHxHEIGHT] [--locale de-DE] [--settle-ms 500]
//
// With --user and --password, the address is that of a login page: the picture shows the waiting page that the
// browser is sent to by a full room.

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
    size: { type: 'string' },
    user: { type: 'string' },
    password: { type: 'string' },
    locale: { type: 'string', default: 'de-DE' },
    'settle-ms': { type: 'string', default: '500' },
  },
});
if (options.size) {
  const [width, height] = options.size.split('x').map(Number);
  for (const view in SIZES) SIZES[view] = { width, height };
}
const views = options.view === 'both' ? ['desktop', 'phone'] : [options.view];
if (!options.url || !options.out || !views.every((view) => view in SIZES)) {
  console.error('picture.mjs: --url URL --out FILE [--view phone|desktop|both] [--user USER --password PASSWORD]');
  process.exit(2);
}

const browser = await launch(new URL(options.url).hostname);
try {
  // One context: both views are the same pupil, with the same place in the line.
  const context = await browser.newContext({ locale: options.locale, deviceScaleFactor: 2 });
  const url = options.user ? await joinTheLine(context) : options.url;
  const shots = [];
  for (const view of views) shots.push({ ...SIZES[view], png: await take(context, url, SIZES[view]) });
  await writeFile(options.out, shots.length === 1 ? shots[0].png : await besideEachOther(context, shots));
} finally {
  await browser.close();
}
console.log(options.out);

/** Logs in at a full room, and tells the address of its waiting page. */
async function joinTheLine(context) {
  const page = await context.newPage();
  await page.goto(options.url);
  await page.locator('input[name="username"]').fill(options.user);
  await page.locator('input[name="password"]').fill(options.password);
  await page.locator('form button[type="submit"], form button:not([type])').first().click({ noWaitAfter: true });
  await page.waitForURL((url) => url.pathname === '/_einlass/wait', { timeout: 10_000 });
  const url = page.url();
  await page.close();
  return url;
}

async function take(context, url, size) {
  const page = await context.newPage();
  await page.setViewportSize(size);
  await page.goto(url, { waitUntil: 'load', timeout: 30_000 });
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
