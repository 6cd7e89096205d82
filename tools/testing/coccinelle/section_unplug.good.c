// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/section_unplug.cocci: nothing is to be found here.

static void lost(struct work_struct *work)
{
	drm_dev_unplug(container_of(work, struct sample, lost)->drm);
}

static int flush(struct sample *sample)
{
	int idx;

	if (!drm_dev_enter(sample->drm, &idx)) {
		drm_dev_unplug(sample->drm);
		return -ENODEV;
	}
	if (!alive(sample))
		schedule_work(&sample->lost);
	drm_dev_exit(idx);
	return 0;
}

static void afterwards(struct sample *sample)
{
	int idx;

	if (drm_dev_enter(sample->drm, &idx)) {
		stop(sample);
		drm_dev_exit(idx);
	}
	drm_dev_unplug(sample->drm);
}

static void after_its_block(struct sample *sample)
{
	{
		CLASS(drm_dev_section, section)(sample->drm);
		if (section.dev)
			stop(sample);
	}
	drm_dev_unplug(sample->drm);
}
