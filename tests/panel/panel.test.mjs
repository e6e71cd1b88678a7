// The page against the real program: three companies, each a process, as `recarga demo` starts them. PANEL names the page.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { launch } from './browser.mjs';

const PANEL = process.env.PANEL ?? 'http://127.0.0.1:8000';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const VIEWS = ['mapa', 'planejar', 'empresas', 'viagens', 'saude'];
/** What a busy machine may need. */
const PATIENCE_MS = 30_000;
const COMPANY = 'empresa-b';

let browser;
let page;
let complaints;

before(async () => {
  browser = await launch();
});
after(() => browser.close());

beforeEach(async () => {
  page = await open();
});
afterEach(async () => {
  await page.context().close();
  assert.deepEqual(complaints, [], 'the browser complained');
});

async function open(options = {}) {
  const context = await browser.newContext({
    locale: 'pt-BR',
    timezoneId: 'America/Bahia',
    viewport: { width: 1440, height: 900 },
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const opened = await context.newPage();
  complaints = [];
  opened.on('pageerror', (error) => complaints.push(error.message));
  opened.on('console', (message) => {
    // A refusal, or a company that is down, is no mistake of the page.
    const isAnswer = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isAnswer) complaints.push(message.text());
  });
  opened.on('request', (request) => {
    if (!request.url().startsWith(PANEL)) complaints.push(`asked elsewhere: ${request.url()}`);
  });
  return opened;
}

async function show(view) {
  await page.goto(`${PANEL}/#/${view}`);
  await page.locator('main h1').first().waitFor({ state: 'attached' });
}

async function call(method, path, body) {
  const response = await fetch(`${PANEL}/${path}`, {
    method,
    headers: { 'Content-Type': 'application/json', 'X-Recarga-Painel': '1' },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

/** Fills in the form and gives the plans that the page got. */
async function plan(from, to) {
  await show('planejar');
  await page.fill('#from', from);
  await page.fill('#to', to);
  const [response] = await Promise.all([
    page.waitForResponse((one) => one.url().endsWith('/viagens/planejar')),
    page.click('form button.main'),
  ]);
  await page.locator('.cards article').first().waitFor();
  return (await response.json()).roteiros;
}

const book = () => page.locator('.cards article').first().locator('button.main').click();
/** Waits until the booking has come so far; what it came to instead is told. */
async function phase(name) {
  const reached = page.locator(`[data-phase="${name}"]`);
  await reached.waitFor().catch(async (error) => {
    const shown = await page.locator('[data-phase]').allInnerTexts();
    throw new Error(`not ${name} but: ${shown.join(' | ')}`, { cause: error });
  });
}

/** Plans and books; the demo's cars want the same chargers, so that a plan can be too late. */
async function bookedPlan(from, to) {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const [best] = await plan(from, to);
    await book();
    await page.locator('[data-phase="booked"], [data-phase="refused"]').waitFor();
    if (await page.locator('[data-phase="booked"]').count()) return best;
    // A company hears every other second what the others have free.
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
  throw new Error('refused five times');
}

const verdict = (name) => page.locator(`a[data-verdict="${name}"]`).waitFor();
const company = (id) => page.locator(`article[data-company="${id}"]`);
const state = (id, name) => company(id).locator(`[data-state="${name}"]`).waitFor();

describe('a driver', () => {
  test('plans, books all stops at once, looks inside, and cancels', async () => {
    const best = await bookedPlan('Recife, PE', 'Salvador, BA');
    assert.ok(best.paradas.length >= 1);
    const stops = page.locator('.cards article [data-progress="confirmada"]');
    await assertCount(stops, best.paradas.length);
    await page.getByRole('link', { name: 'Ver por dentro' }).click();
    const diagram = page.getByRole('region', { name: 'Diagrama de sequência' });
    await diagram.locator('li', { hasText: 'DECIDIDO: sim' }).waitFor({ state: 'attached' });
    const companies = new Set(best.paradas.map(({ empresa }) => empresa));
    await assertCount(diagram.locator('li', { hasText: 'gravado: sim' }), companies.size);
    await assertCount(page.locator('table tbody tr', { hasText: 'reservada' }), companies.size);

    await page.getByRole('link', { name: 'Planejar' }).click();
    await page.getByRole('button', { name: 'Cancelar a viagem' }).press('Enter');
    await page.getByText('Cancelar não custa nada').waitFor();
    assert.match(await focused(), /Cancelar não custa nada/);
    await page.getByRole('button', { name: 'Sim, cancelar tudo' }).press('Enter');
    await phase('cancelled');
    assert.match(await focused(), /Viagem cancelada/);
    const known = await call(
      'GET',
      `empresas/${best.paradas[0].empresa}/viagens?veiculo_id=${await vehicle()}`,
    );
    assert.deepEqual(
      known.body.viagens.map(({ estado }) => estado),
      ['cancelada'],
    );
  });

  test('whose stop was taken meanwhile is told which and why, and books the plan that goes around it', async () => {
    const [best] = await plan('Rio de Janeiro, RJ', 'Belo Horizonte, MG');
    const [{ empresa, ponto_id, janela_inicio, janela_fim }] = best.paradas;
    const taken = await call('POST', `empresas/${empresa}/viagens`, {
      requisicao_id: `rival-${Date.now()}`,
      veiculo: { veiculo_id: 'rival' },
      paradas: [{ empresa, ponto_id, janela_inicio, janela_fim }],
    });
    assert.equal(taken.status, 201);
    await book();
    await phase('refused');
    await page.locator('[data-progress="refused"]').waitFor();
    await page.getByText('Nada foi reservado.').waitFor();
    await page.getByText('A parada 1').waitFor();
    const other = page.locator('.cards article', { hasText: 'novo plano' });
    await other.locator('button.main').click();
    await phase('booked');
    const { body } = await call('DELETE', `empresas/${empresa}/viagens/${taken.body.viagem_id}`);
    assert.equal(body.estado, 'cancelada');
  });

  test('is told what is wrong with a wish', async () => {
    await show('planejar');
    await page.fill('#from', 'Atlântida');
    await page.fill('#to', 'Salvador, BA');
    await page.click('form button.main');
    await page.getByRole('alert').waitFor();
    assert.equal(await page.locator('.cards article').count(), 0);
  });

  test('finds on a phone what came of a wish, a booking and a choice in sight', async () => {
    await page.context().close();
    page = await open({ viewport: { width: 390, height: 844 } });
    const inSight = async (locator) => {
      const isInSight = () =>
        locator.evaluate((element) => {
          const { top } = element.getBoundingClientRect();
          return top >= 0 && top < innerHeight - 100;
        });
      for (let tries = 0; tries < 50 && !(await isInSight()); tries += 1) await page.waitForTimeout(100);
      assert.ok(await isInSight());
    };
    await bookedPlan('Recife, PE', 'Salvador, BA');
    await inSight(page.locator('[data-phase="booked"]'));
    await page.getByRole('button', { name: 'Cancelar a viagem' }).click();
    await page.getByRole('button', { name: 'Sim, cancelar tudo' }).click();
    await phase('cancelled');
    await page.getByRole('button', { name: 'Planejar outra' }).click();
    await page.fill('#from', 'Atlântida');
    await page.click('form button.main');
    await inSight(page.getByRole('alert'));

    await show('viagens');
    const entry = page.locator('.list a[href*="#/viagens/"]').first();
    await inSight(entry);
    await entry.click();
    await inSight(page.locator('.detail h2'));
  });
});

describe('whoever watches', () => {
  // Whatever a test has left: the next one finds all companies well.
  afterEach(async () => {
    for (const action of ['descongelar', 'religar', 'iniciar']) {
      await call('POST', `demo/empresas/${COMPANY}/${action}`);
    }
  });

  test('kills a company, sees that it is gone and that every trip stays whole, and starts it again', async () => {
    await show('saude');
    await state(COMPANY, 'no_ar');
    await verdict('integra');
    await company(COMPANY).getByRole('button', { name: 'Derrubar' }).click();
    await state(COMPANY, 'parada');
    await page.getByText('tentando de novo').waitFor();
    await company('empresa-a')
      .getByText(/não alcança/)
      .waitFor();

    // Without it nothing is booked there, and nothing is half booked.
    const plans = await call('POST', 'empresas/empresa-a/viagens/planejar', {
      origem: 'Recife, PE',
      destino: 'Salvador, BA',
      bateria_pct: 80,
      modelo: 'byd-dolphin-plus',
      preferir_empresas: [COMPANY],
    });
    assert.equal(plans.status, 200);
    assert.notEqual(plans.body.ofertas.find(({ empresa }) => empresa === COMPANY).estado, 'atual');

    await company(COMPANY).getByRole('button', { name: 'Iniciar' }).click();
    await state(COMPANY, 'no_ar');
    await page.getByText('Ao vivo').waitFor();
    await verdict('integra');
    await company('empresa-a')
      .getByText(/não alcança/)
      .waitFor({ state: 'detached' });
  });

  test('freezes and cuts off a company, and both can be undone', async () => {
    await show('saude');
    await state(COMPANY, 'no_ar');
    await company(COMPANY).getByRole('button', { name: 'Congelar', exact: true }).click();
    await state(COMPANY, 'congelada');
    assert.equal((await focused()).trim(), 'Descongelar');
    await company(COMPANY).getByRole('button', { name: 'Descongelar' }).click();
    await state(COMPANY, 'no_ar');
    await company(COMPANY).getByRole('button', { name: 'Isolar' }).click();
    await state(COMPANY, 'isolada');
    // It is noticed when there is something to say to it.
    await company('empresa-a')
      .getByText(/não alcança/)
      .waitFor({ timeout: 120_000 });
    await company(COMPANY).getByRole('button', { name: 'Religar' }).click();
    await state(COMPANY, 'no_ar');
    await verdict('integra');
  });

  test('sees a trip appear without asking, and cars on the map', async () => {
    await show('viagens');
    const elsewhere = async () => {
      const { body: plans } = await call('POST', 'empresas/empresa-a/viagens/planejar', {
        origem: 'Curitiba, PR',
        destino: 'Florianópolis, SC',
        bateria_pct: 40,
        modelo: 'byd-dolphin',
      });
      const paradas = plans.roteiros[0].paradas.map(({ empresa, ponto_id, janela_inicio, janela_fim }) => ({
        empresa,
        ponto_id,
        janela_inicio,
        janela_fim,
      }));
      return call('POST', 'empresas/empresa-c/viagens', {
        requisicao_id: `elsewhere-${Date.now()}`,
        veiculo: { veiculo_id: 'elsewhere' },
        paradas,
      });
    };
    let booked = await elsewhere();
    for (let again = 0; again < 4 && booked.status === 409; again += 1) {
      await new Promise((resolve) => setTimeout(resolve, 3000));
      booked = await elsewhere();
    }
    assert.equal(booked.status, 201);
    const entry = page.locator(`.list a[href$="${booked.body.viagem_id}"]`);
    await entry.getByText('confirmada').waitFor();
    await call('DELETE', `empresas/empresa-c/viagens/${booked.body.viagem_id}`);
    await entry.getByText('cancelada').waitFor();

    await show('mapa');
    await page.getByLabel('Buscar carro').fill('carro-0001');
    await page.getByRole('button', { name: 'carro-0001' }).click();
    await page.getByRole('heading', { name: 'Carro carro-0001' }).waitFor();
  });
});

describe('an operator', () => {
  test('takes an EVSE out of service and brings it back', async () => {
    await show('empresas/empresa-a');
    const row = page.locator('.timeline li').first();
    await row.locator('.name').click();
    const point = (await row.locator('.name span').first().textContent()).trim();
    await page.getByRole('button', { name: 'Tirar de serviço' }).click();
    await page.getByRole('button', { name: 'Voltar ao serviço' }).waitFor();
    await row.locator('.lane.out').waitFor();
    assert.equal((await offered(point)).estado, 'inoperante');
    await page.getByRole('button', { name: 'Voltar ao serviço' }).click();
    await page.getByRole('button', { name: 'Tirar de serviço' }).waitFor();
    assert.notEqual((await offered(point)).estado, 'inoperante');
  });

  async function offered(point) {
    const { body } = await call('GET', `empresas/empresa-a/disponibilidade?ponto_id=${point}`);
    return body.pontos[0];
  }
});

describe('everybody', () => {
  test('finds the language and the theme as they were left', async () => {
    await show('mapa');
    await page.getByRole('button', { name: 'English' }).click();
    await page.getByRole('button', { name: 'Use the dark theme' }).click();
    await page.reload();
    await page.getByRole('link', { name: 'Map' }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'en-GB');
  });

  test('is told when a view cannot be loaded, and loads it when it can', async () => {
    await page.route(/TripView/, (route) => route.abort());
    await show('mapa');
    await page.getByRole('link', { name: 'Viagens' }).click();
    await page.getByRole('alert').getByText('não pôde ser carregada').waitFor();
    await page.unroute(/TripView/);
    await page.getByRole('button', { name: 'Tentar de novo' }).click();
    await page.getByRole('heading', { name: 'Viagens', exact: true }).waitFor();
  });

  test('chooses a station by keyboard alone', async () => {
    await show('mapa');
    const first = page.locator('.list button').first();
    await first.focus();
    await page.keyboard.press('Enter');
    await page.getByText('Próximas 24 horas').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.detail').waitFor({ state: 'detached' });
    assert.equal(await focused(), await first.innerText());
  });

  test('sees on a phone the whole of the station that was tapped', async () => {
    await page.context().close();
    page = await open({ viewport: { width: 390, height: 844 } });
    await show('mapa');
    await page.locator('.list button').nth(3).click();
    const panel = page.locator('.detail');
    await panel.getByText('Próximas 24 horas').waitFor();
    const { top, height, content, bottom } = await panel.evaluate((element) => {
      const box = element.getBoundingClientRect();
      const { bottom } = element.parentElement.getBoundingClientRect();
      return { top: box.top, height: box.height, content: element.scrollHeight, bottom };
    });
    assert.ok(height >= content, `${height} px for ${content}`);
    assert.ok(top >= 0 && top + height <= bottom, `from ${top} to ${top + height} of ${bottom}`);
  });

  for (const theme of ['light', 'dark']) {
    for (const [size, viewport] of Object.entries({
      desktop: { width: 1440, height: 900 },
      phone: { width: 390, height: 844 },
    })) {
      test(`can use every view: ${theme}, ${size}`, async () => {
        await page.context().close();
        page = await open({ colorScheme: theme, viewport });
        for (const view of VIEWS) {
          await show(view);
          if (view === 'planejar') await plan('Recife, PE', 'Salvador, BA');
          if (view === 'mapa') await page.locator('.list button').first().click();
          if (view === 'empresas') await page.locator('.timeline .name').first().click();
          if (view === 'viagens') await page.locator('.list a[href*="#/viagens/"]').first().waitFor();
          if (view === 'saude') await state(COMPANY, 'no_ar');
          await page.evaluate(AXE);
          const { violations } = await page.evaluate(() => window.axe.run());
          const found = violations.map(({ id, nodes }) => `${view}: ${id} at ${nodes[0].target.join(' ')}`);
          assert.deepEqual(found, []);
          const isWider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
          assert.equal(isWider, false, `${view} is wider than the screen`);
        }
      });
    }
  }
});

/** The text of what has the keyboard. */
const focused = () => page.evaluate(() => document.activeElement?.innerText);

async function vehicle() {
  return page.evaluate(() => localStorage.getItem('recarga.vehicle'));
}

async function assertCount(locator, count) {
  const end = Date.now() + PATIENCE_MS;
  while ((await locator.count()) !== count && Date.now() < end) await page.waitForTimeout(100);
  assert.equal(await locator.count(), count);
}
