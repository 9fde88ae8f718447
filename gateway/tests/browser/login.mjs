// A pupil with a real browser: opens the login page, types the password once, waits, is in.
//
//   node login.mjs --url http://gym.example:8080 --user pupil1 --password geheim --mode js|nojs
//                  [--expect-wait] [--screenshot waiting.png] [--timeout SECONDS] [--locale de-DE]
//                  [--submit-when FOLDER]
//
// With a folder it writes the file `filled` into it once the form is filled in, and submits when there is a file `go`.
// Prints one line of JSON with what it saw. Exit code 0: logged in as a pupil should be;
// 1: something was not right, standard error says what; 2: wrong arguments.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { launch } from './chromium.mjs';

const LOGIN = '/accounts/login/';
const WAIT = '/_einlass/wait';
const ENTER = 'form[action="/_einlass/enter"]';
const LOOK_EVERY_MS = 50;

const options = parseOptions();
const base = new URL(options.url);
const started = Date.now();
const deadline = started + options.timeout * 1000;
/** What is printed at the end. Times are in milliseconds. */
const seen = {
  ok: false,
  mode: options.mode,
  waited: false,
  waited_ms: null,
  login_ms: null,
  login_posts: 0,
  clicks_on_enter: 0,
  polls: 0,
  lang: null,
  titles: [],
  pages: [],
  foreign_requests: [],
  console_errors: [],
  page_errors: [],
};

const browser = await launch(base.hostname);
let failure = null;
try {
  await run(browser);
} catch (error) {
  failure = error;
} finally {
  await browser.close();
}
failure ??= complaint();
seen.ok = failure === null;
console.log(JSON.stringify(seen));
if (failure) {
  console.error(`login.mjs: ${failure.stack ?? failure}`);
  process.exit(1);
}

async function run(browser) {
  const context = await browser.newContext({
    javaScriptEnabled: options.mode === 'js',
    locale: options.locale,
    viewport: { width: 390, height: 844 },
  });
  const page = await context.newPage();
  page.setDefaultTimeout(remaining());
  page.setDefaultNavigationTimeout(remaining());
  watch(page);
  try {
    await page.goto(new URL(LOGIN, base).href);
    await page.locator('input[name="username"]').fill(options.user);
    await page.locator('input[name="password"]').fill(options.password);
    await untilMeantTo(options.submitWhen);
    const submitted = Date.now();
    // Whether the click's own navigation has ended says nothing: the pupil may be sent on many times.
    await page.locator('form button[type="submit"], form input[type="submit"]').first().click({ noWaitAfter: true });
    await untilLoggedIn(page, submitted);
  } catch (error) {
    await keepEvidence(page);
    throw error;
  }
}

/** The form is filled in: says so, and waits until whoever asked for that wants it sent. */
async function untilMeantTo(folder) {
  if (!folder) return;
  writeFileSync(join(folder, 'filled'), '');
  while (!existsSync(join(folder, 'go'))) {
    if (Date.now() > deadline) throw new Error(`Nobody wanted the form sent within ${options.timeout} s`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** Notes everything that the page asks for and complains about. */
function watch(page) {
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^(https?|wss?):$/.test(url.protocol) && url.host !== base.host) seen.foreign_requests.push(url.href);
    // Going in repeats the address of the login, but never the password.
    const typed = request.method() === 'POST' && (request.postData() ?? '').includes('password=');
    if (typed && url.host === base.host && url.pathname === LOGIN) seen.login_posts += 1;
    if (url.pathname === '/_einlass/turn') seen.polls += 1;
  });
  page.on('response', (response) => {
    const request = response.request();
    if (request.isNavigationRequest()) {
      seen.pages.push(`${request.method()} ${new URL(response.url()).pathname} ${response.status()}`);
    }
  });
  page.on('console', (message) => {
    if (message.type() === 'error') seen.console_errors.push(message.text());
  });
  page.on('pageerror', (error) => seen.page_errors.push(String(error)));
}

/** Follows the page from the submit to the page behind the login, doing only what a pupil would have to do. */
async function untilLoggedIn(page, submitted) {
  let waitingSince = null;
  for (;;) {
    if (Date.now() > deadline) throw new Error(`Not logged in after ${options.timeout} s`);
    const now = await look(page);
    if (now?.title && seen.titles.at(-1) !== now.title) seen.titles.push(now.title);
    if (now?.path === WAIT && waitingSince === null) {
      waitingSince = Date.now();
      seen.waited = true;
      seen.lang = now.lang;
      if (options.screenshot) await page.screenshot({ path: options.screenshot });
    }
    if (now?.path === WAIT && options.mode === 'nojs' && now.enter) await goIn(page);
    if (now?.loggedIn) {
      seen.login_ms = Date.now() - submitted;
      if (waitingSince !== null) seen.waited_ms = Date.now() - waitingSince;
      return;
    }
    if (now?.path === LOGIN && now.complaint) throw new Error(`The login page is back: ${now.complaint}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** What is on the screen now, or null while one page gives way to the next. */
async function look(page) {
  try {
    return await page.evaluate(
      ([enter, user]) => ({
        path: location.pathname,
        title: document.title,
        lang: document.documentElement.getAttribute('lang'),
        enter: document.querySelector(`${enter} [type="submit"], ${enter} button:not([type])`)?.checkVisibility() ?? false,
        loggedIn: document.body?.innerText.includes(`Angemeldet als ${user}`) ?? false,
        complaint: document.querySelector('.errorlist')?.textContent.trim() ?? null,
      }),
      [ENTER, options.user],
    );
  } catch (error) {
    if (page.isClosed()) throw error;
    return null;
  }
}

/** Presses the button of the waiting page; a refresh may take the page away under the finger. */
async function goIn(page) {
  const button = page.locator(`${ENTER} [type="submit"], ${ENTER} button:not([type])`).first();
  try {
    // As long as the login takes: pressing again would only start it anew.
    const left = page.waitForEvent('framenavigated', { timeout: remaining() });
    left.catch(() => {});
    await button.click({ noWaitAfter: true, timeout: 2_000 });
    seen.clicks_on_enter += 1;
    await left;
  } catch (error) {
    if (page.isClosed()) throw error;
  }
}

/** What a pupil would have been right to complain about although the login worked. */
function complaint() {
  const wrong = [];
  if (options.expectWait && !seen.waited) wrong.push(`the waiting page ${WAIT} was never shown`);
  if (seen.login_posts !== 1) wrong.push(`the login was sent ${seen.login_posts} times instead of once`);
  if (seen.foreign_requests.length) wrong.push(`other hosts were asked: ${seen.foreign_requests.join(' ')}`);
  if (seen.page_errors.length) wrong.push(`scripts failed: ${seen.page_errors.join('; ')}`);
  return wrong.length ? wrong.join('; ') : null;
}

/** Leaves a picture and the text of the page that was wrong. */
async function keepEvidence(page) {
  try {
    if (options.screenshot) await page.screenshot({ path: `${options.screenshot}.failed.png`, timeout: 2_000 });
    const text = await page.evaluate(() => document.body.innerText);
    console.error(`login.mjs: at ${page.url()}:\n${text.slice(0, 1000)}`);
  } catch {
    console.error('login.mjs: no page was left to look at');
  }
}

function remaining() {
  return Math.max(1, deadline - Date.now());
}

function parseOptions() {
  try {
    const { values } = parseArgs({
      options: {
        url: { type: 'string' },
        user: { type: 'string' },
        password: { type: 'string' },
        mode: { type: 'string', default: 'js' },
        'expect-wait': { type: 'boolean', default: false },
        screenshot: { type: 'string' },
        timeout: { type: 'string', default: '60' },
        locale: { type: 'string', default: 'de-DE' },
        'submit-when': { type: 'string' },
      },
    });
    for (const name of ['url', 'user', 'password']) {
      if (values[name] === undefined) throw new Error(`--${name} is missing`);
    }
    if (!['js', 'nojs'].includes(values.mode)) throw new Error('--mode is js or nojs');
    const timeout = Number(values.timeout);
    if (!(timeout > 0)) throw new Error('--timeout is a number of seconds');
    return { ...values, timeout, expectWait: values['expect-wait'], submitWhen: values['submit-when'] };
  } catch (error) {
    console.error(`login.mjs: ${error.message}`);
    process.exit(2);
  }
}
