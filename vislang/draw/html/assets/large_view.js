(() => {
  document.body.insertAdjacentHTML('beforeend', `<dialog class="large" aria-label="Picture"><img src="data:," alt="">
    <p></p><button type="button" aria-label="Close">\u00d7</button></dialog>`);
  const large = document.querySelector('dialog.large');
  let shown = null;
  function show(button) {
    shown = button;
    const small = button.querySelector('img'), picture = large.querySelector('img');
    picture.src = small.src;
    picture.alt = large.querySelector('p').textContent = small.alt;
    if (!large.open) large.showModal();
  }
  function step(by) {
    const buttons = [...document.querySelectorAll('button.open')].filter(button => button.offsetParent);
    show(buttons[(buttons.indexOf(shown) + by + buttons.length) % buttons.length]);
  }
  document.addEventListener('click', event => {
    const button = event.target.closest('button.open');
    if (button) show(button);
  });
  large.addEventListener('click', event => { if (!event.target.closest('img, p')) large.close(); });
  large.addEventListener('keydown', event => {
    if (event.key === 'ArrowRight') step(1);
    if (event.key === 'ArrowLeft') step(-1);
  });
})();
