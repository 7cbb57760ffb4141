"""Answers as mail programs write them: what is new is kept, whole; what was said before is cut. And words of customers
that only look like a quote, which are theirs."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.email.quotes import fresh

US, MAIL = "客户服务", "service@insurer.example"
ENGLISH = "Customer Service"
WHO = f"{US} <{MAIL}>"

ANSWERS: dict[str, tuple[str, str]] = {
    "Outlook on Windows": (
        f"已收到，谢谢。\n\n发件人: {WHO} \n发送时间: 2026年11月3日 10:15\n收件人: 张三 <zhang@163.com>\n"
        "主题: 回复: 保单 [#A1]\n\n您好，请补充材料。\n",
        "已收到，谢谢。",
    ),
    "Outlook on Windows, in plain text": (
        f"已收到。\n\n-----邮件原件-----\n发件人: {WHO} \n发送时间: 2026年11月3日 10:15\n收件人: 张三\n主题: 保单\n\n您好\n",
        "已收到。",
    ),
    "older Outlook": (
        f"已收到。\n\n-----原始邮件-----\n发件人: {US} [mailto:{MAIL}]\n发送时间: 2026年11月3日 10:15\n收件人: 张三\n主题: 保单\n",
        "已收到。",
    ),
    "Outlook with a copy": (
        f"已收到。\n\n发件人: {WHO}\n发送时间: 2026年11月3日 10:15\n收件人: 张三\n抄送: 李四\n主题: 保单\n\n您好",
        "已收到。",
    ),
    "Outlook with bold words": (
        f"已收到。\n\n**发件人:** {WHO}\n**发送时间:** 2026年11月3日 10:15\n**收件人:** 张三\n**主题:** 保单\n\n您好",
        "已收到。",
    ),
    "Outlook on the web": (
        f"已收到。\n________________________________\n发件人: {WHO}\n发送时间: 2026年11月3日 10:15\n收件人: 张三\n主题: 保单\n",
        "已收到。",
    ),
    "Outlook on a phone": (
        "好的\n\n获取 Outlook for iOS<https://aka.ms/o0ukef>\n________________________________\n"
        f"发件人: {WHO}\n发送时间: Tuesday, November 3, 2026 10:15:00 AM\n收件人: 张三 <zhang@outlook.com>\n主题: 保单\n",
        "好的\n\n获取 Outlook for iOS<https://aka.ms/o0ukef>",
    ),
    "Outlook on a Mac": (
        f"已收到。\n\n发件人: {WHO}\n日期: 星期二, 2026年11月3日 10:15\n收件人: 张三\n主题: 保单\n您好",
        "已收到。",
    ),
    "Outlook, traditional": (
        f"已收到，謝謝。\n\n寄件者: {WHO}\n寄件日期: 2026年11月3日 上午 10:15\n收件者: 張三\n主旨: RE: 保單\n\n您好",
        "已收到，謝謝。",
    ),
    "Outlook in English": (
        f"Got it, thanks.\n\nFrom: {ENGLISH} <{MAIL}>\nSent: Tuesday, November 3, 2026 10:15 AM\nTo: Zhang San\n"
        "Subject: RE: Policy\n\nDear customer\n",
        "Got it, thanks.",
    ),
    "older Outlook in English": (
        f"Got it.\n\n-----Original Message-----\nFrom: {ENGLISH} [mailto:{MAIL}]\nSent: Tuesday, November 3, 2026 10:15\n"
        "To: Zhang San\nSubject: RE: Policy\n",
        "Got it.",
    ),
    "Outlook on a phone in English": (
        "OK\n\nGet Outlook for Android<https://aka.ms/AAb9ysg>\n________________________________\n"
        f"From: {ENGLISH} <{MAIL}>\nSent: Tuesday, November 3, 2026 10:15:00 AM\nTo: Zhang\nSubject: Re: Policy\n",
        "OK\n\nGet Outlook for Android<https://aka.ms/AAb9ysg>",
    ),
    "Outlook on a Mac in English": (
        f"Got it.\n\nFrom: {ENGLISH} <{MAIL}>\nDate: Tuesday, November 3, 2026 at 10:15\nTo: Zhang\nSubject: Policy\nHi",
        "Got it.",
    ),
    "Windows Mail": (
        f"好的\n\n从 Windows 版邮件发送\n\n发件人: {US}\n发送时间: 2026年11月3日 10:15\n收件人: 张三\n主题: 保单\n",
        "好的\n\n从 Windows 版邮件发送",
    ),
    "Gmail": (
        f"已收到，谢谢。\n\n{WHO} 于2026年11月3日周二 10:15写道：\n\n> 您好，\n> 请补充材料。\n",
        "已收到，谢谢。",
    ),
    "Gmail over two lines": (
        f"已收到。\n\n中国某某人寿保险股份有限公司客户服务中心 <{MAIL}> 于2026年11月3日周二\n10:15写道：\n\n> 您好\n",
        "已收到。",
    ),
    "Gmail over two lines, cut after the name": (
        f"已收到。\n\n中国某某人寿保险股份有限公司客户服务中心 <\n{MAIL}> 于2026年11月3日周二 10:15写道：\n\n> 您好\n",
        "已收到。",
    ),
    "Gmail, traditional": (
        f"已收到。\n\n客服 <{MAIL}> 於 2026年11月3日 週二 上午10:15寫道：\n\n> 您好\n",
        "已收到。",
    ),
    "Gmail in English": (
        f"Got it.\n\nOn Tue, Nov 3, 2026 at 10:15 AM {ENGLISH} <{MAIL}> wrote:\n\n> Dear customer\n> please\n",
        "Got it.",
    ),
    "Gmail in English over two lines": (
        f"Got it.\n\nOn Tue, Nov 3, 2026 at 10:15 AM {ENGLISH} Department <\n{MAIL}> wrote:\n\n> Dear customer\n",
        "Got it.",
    ),
    "Gmail in English, the last word alone": (
        f"Got it.\n\nOn Tue, Nov 3, 2026 at 10:15 AM {ENGLISH} Department <{MAIL}>\nwrote:\n\n> Dear customer\n",
        "Got it.",
    ),
    "Apple Mail": (
        f"好的，谢谢！\n\n> 2026年11月3日 10:15，{WHO} 写道：\n> \n> 您好。\n",
        "好的，谢谢！",
    ),
    "Apple Mail, the line unquoted": (
        f"好的，谢谢！\n\n2026年11月3日 10:15，{WHO} 写道：\n\n您好。\n",
        "好的，谢谢！",
    ),
    "Apple Mail, older": (
        f"好的！\n\n> 在 2026年11月3日，上午10:15，{WHO} 写道：\n> \n> 您好。\n",
        "好的！",
    ),
    "Apple Mail, traditional": (
        f"好的！\n\n> 客服 <{MAIL}> 於 2026年11月3日 上午10:15 寫道：\n> \n> 您好。\n",
        "好的！",
    ),
    "iPhone": (
        f"好的\n\n发自我的iPhone\n\n> 在 2026年11月3日，10:15，{WHO} 写道：\n> \n> \ufeff您好\n",
        "好的\n\n发自我的iPhone",
    ),
    "iPhone over two lines": (
        f"好的\n\n发自我的 iPhone\n\n> 在 2026年11月3日，上午10:15，客户服务中心\n> <{MAIL}> 写道：\n> \n> 您好\n",
        "好的\n\n发自我的 iPhone",
    ),
    "Apple Mail in English": (
        f"Fine.\n\n> On 3 Nov 2026, at 10:15, {ENGLISH} <{MAIL}> wrote:\n> \n> Dear customer\n",
        "Fine.",
    ),
    "iPhone in English": (
        f"Fine.\n\nSent from my iPhone\n\n> On Nov 3, 2026, at 10:15 AM, {ENGLISH} <{MAIL}> wrote:\n> \n> \ufeffHi\n",
        "Fine.\n\nSent from my iPhone",
    ),
    "iPhone in English over two lines": (
        f"Fine.\n\n> On Nov 3, 2026, at 10:15 AM, {ENGLISH} Department\n> <{MAIL}> wrote:\n> \n> Hi\n",
        "Fine.",
    ),
    "QQ Mail": (
        f'好的，谢谢。\n\n\n\n\n------------------\u00a0原始邮件\u00a0------------------\n发件人: "{US}" <{MAIL}>;\n'
        '发送时间:\u00a02026年11月3日(星期二) 上午10:15\n收件人:\u00a0"张三"<1234@qq.com>;\n\n主题:\u00a0回复：保单\n\n您好',
        "好的，谢谢。",
    ),
    "QQ Mail, blanks as they are written in HTML": (
        f'好的。\n\n\n------------------&nbsp;原始邮件&nbsp;------------------\n发件人: "{US}" <{MAIL}>;\n'
        "发送时间:&nbsp;2026年11月3日(星期二) 上午10:15\n收件人:&nbsp;张三;\n\n主题:&nbsp;回复：保单\n\n您好",
        "好的。",
    ),
    "QQ Mail in English": (
        f'Fine.\n\n\n------------------ Original ------------------\nFrom:  "{ENGLISH}" <{MAIL}>;\n'
        'Date:  Tue, Nov 3, 2026 10:15 AM\nTo:  "zhang"<1234@qq.com>;\n\nSubject:  Re: policy\n\nHi',
        "Fine.",
    ),
    "QQ Mail in English, blanks as they are written in HTML": (
        f'Fine.\n\n------------------&nbsp;Original&nbsp;------------------\nFrom: &nbsp;"{ENGLISH}" <{MAIL}>;\n'
        'Date: &nbsp;Tue, Nov 3, 2026 10:15 AM\nTo: &nbsp;"zhang"<1234@qq.com>;\n\nSubject: &nbsp;Re: policy\n\nHi',
        "Fine.",
    ),
    "QQ Mail on a phone": (
        f'好的\n\n发自我的iPhone\n\n\n---原始邮件---\n发件人: "{US}"<{MAIL}>\n发送时间: 2026年11月3日(周二) 上午10:15\n'
        '收件人: "张三"<1234@qq.com>;\n主题: 回复：保单\n\n您好',
        "好的\n\n发自我的iPhone",
    ),
    "163": (
        f'已收到，谢谢\n\n\n\n\n在 2026-11-03 10:15:16，"{US}" <{MAIL}> 写道：\n\n您好，\n请补充材料。\n',
        "已收到，谢谢",
    ),
    "163, older": (
        f"已收到\n\n\n\n在2026-11-03 10:15:16，{MAIL} 写道：\n>您好\n>请补充\n",
        "已收到",
    ),
    "163 over two lines": (
        f'已收到\n\n在 2026-11-03 10:15:16，"中国某某人寿保险股份有限公司客户服务中心"\n<{MAIL}> 写道：\n\n您好\n',
        "已收到",
    ),
    "163 in English": (
        f'Got it\n\n\n\nAt 2026-11-03 10:15:16, "{ENGLISH}" <{MAIL}> wrote:\n\nDear customer\n',
        "Got it",
    ),
    "126 with a signature": (
        f"收到\n| |\n张三\n|\n|\nzhang@126.com\n|\n\n在 2026-11-03 10:15:16，{US} <{MAIL}> 写道：\n您好",
        "收到\n| |\n张三\n|\n|\nzhang@126.com\n|",
    ),
    "NetEase's program for phones": (
        f"收到\n\n---- 回复的原邮件 ----\n| 发件人 | {US}<{MAIL}> |\n| 日期 | 2026年11月03日 10:15 |\n"
        "| 收件人 | 张三<zhang@163.com> |\n| 抄送至 | |\n| 主题 | 回复：保单 |\n您好",
        "收到",
    ),
    "NetEase's program for phones, flat": (
        f"收到\n---- 回复的原邮件 ----\n发件人 {US}<{MAIL}> \n发送日期 2026年11月03日 10:15 \n收件人 张三<zhang@163.com> \n主题 保单\n",
        "收到",
    ),
    "NetEase's program for phones, older": (
        f"收到\n\n在2026年11月3日 10:15，{US}<{MAIL}> 写道：\n您好",
        "收到",
    ),
    "NetEase's program for phones in English": (
        f"Got it\n\n---- Replied Message ----\n| From | {ENGLISH}<{MAIL}> |\n| Date | 11/03/2026 10:15 |\n"
        "| To | zhang<zhang@163.com> |\n| Subject | Re: policy |\nHi",
        "Got it",
    ),
    "Foxmail": (
        f"好的。\n\n\n\n张三\n \n发件人： {US}\n发送时间： 2026-11-03 10:15\n收件人： 张三\n抄送： 李四\n主题： Re: 保单\n您好",
        "好的。\n\n\n\n张三",
    ),
    "Foxmail with a line": (
        f"好的。\n\n________________________________\n张三\n \n发件人： {US}\n发送时间： 2026-11-03 10:15\n收件人： 张三\n主题： 保单\n",
        "好的。\n\n________________________________\n张三",
    ),
    "Foxmail in English": (
        f"Fine.\n\nzhang@163.com\n \nFrom: {ENGLISH}\nDate: 2026-11-03 10:15\nTo: zhang\nSubject: Re: policy\nHi",
        "Fine.\n\nzhang@163.com",
    ),
    "Thunderbird": (
        f"好的。\n\n在 2026/11/3 10:15, {US} 写道:\n> 您好，\n> 请补充。\n",
        "好的。",
    ),
    "Thunderbird, traditional": (
        "好的。\n\n客服 於 2026/11/3 上午 10:15 寫道:\n> 您好\n",
        "好的。",
    ),
    "Thunderbird, traditional, the time first": (
        "好的。\n\n於 2026/11/3 10:15, 客服 寫道:\n> 您好\n",
        "好的。",
    ),
    "Thunderbird in English": (
        f"Fine.\n\nOn 11/3/26 10:15, {ENGLISH} wrote:\n> Dear customer,\n> please\n",
        "Fine.",
    ),
    "Thunderbird with empty lines below": (
        f"Fine.\n\nOn 03/11/2026 10:15, {ENGLISH} wrote:\n> Dear customer,\n> please\n\n",
        "Fine.",
    ),
    "Evolution": (
        f"好的。\n\n在 2026-11-03星期二的 10:15 +0800，{US}写道：\n> 您好\n",
        "好的。",
    ),
    "Yahoo": (
        f" Fine.\n    On Tuesday, November 3, 2026 at 10:15:00 AM GMT+8, {ENGLISH} <{MAIL}> wrote:  \n \n Dear customer\n  ",
        "Fine.",
    ),
    "Yahoo, traditional": (
        f"好的\n    客服 <{MAIL}> 於 2026年11月3日 星期二 上午10:15:00 [GMT+8] 寫道：  \n \n 您好",
        "好的",
    ),
    "Yahoo Hong Kong": (
        f"好的\n\n客服 <{MAIL}> 於 2026年11月3日 (週二) 10:15 AM 寫道﹕\n\n您好",
        "好的",
    ),
    "Huawei's phone": (
        f"好的\n\n发自我的华为手机\n\n\n-------- 原始邮件 --------\n主题：回复：保单\n发件人：{US} \n收件人：张三 \n抄送：\n\n\n您好",
        "好的\n\n发自我的华为手机",
    ),
    "another Android phone": (
        f"好的\n\n-------- 原始信息 --------\n由： {WHO} \n日期： 2026/11/3 10:15 (GMT+08:00) \n至： 张三 \n主题： 回复：保单 \n\n您好",
        "好的",
    ),
    "another Android phone in English": (
        f"Fine.\n\n-------- Original message --------\nFrom: {ENGLISH} <{MAIL}> \nDate: 11/3/26 10:15 (GMT+08:00) \n"
        "To: Zhang \nSubject: Re: policy \n\nHi",
        "Fine.",
    ),
    "Xiaomi's phone": (
        f"好的\n\n\n{WHO} 于 2026年11月3日周二 上午10:15写道：\n\n> 您好\n",
        "好的",
    ),
    "Xiaomi's phone, the name quoted": (
        f'好的\n\n"{US}" <{MAIL}> 于2026年11月3日 10:15写道：\n您好\n',
        "好的",
    ),
    "a company's Coremail": (
        f'收到。\n\n\n-----原始邮件-----\n发件人:"{US}" <{MAIL}>\n发送时间:2026-11-03 10:15:16 (星期二)\n收件人: zhang@firm.cn\n'
        "抄送: \n主题: 保单\n\n您好",
        "收到。",
    ),
    "Aliyun": (
        f"收到。\n\n\n------------------------------------------------------------------\n发件人：{WHO}\n"
        "发送时间：2026年11月3日(星期二) 10:15\n收件人：张三 <zhang@aliyun.com>\n主　题：回复：保单\n\n您好",
        "收到。",
    ),
    "Sina": (
        f"收到。\n\n----- 原始邮件 -----\n发件人：{WHO}\n收件人：zhang@sina.com\n主题：保单\n日期：2026-11-03 10:15\n\n您好",
        "收到。",
    ),
    "139": (
        f'收到。\n\n\n----邮件原文----\n发件人："{US}" <{MAIL}>\n收件人：张三 <13800138000@139.com>\n抄 送：(无)\n'
        "发送时间：2026-11-03 10:15:16\n主题：保单\n\n您好",
        "收到。",
    ),
    "Proton": (
        f"Fine.\n\n\nOn Tuesday, November 3rd, 2026 at 10:15 AM, {ENGLISH} <{MAIL}> wrote:\n\n> Dear customer\n> \n",
        "Fine.",
    ),
    "lines quoted without a word": (
        "好的，就这样。\n\n> 您好\n> 请问可以吗？\n",
        "好的，就这样。",
    ),
    "quoted twice": (
        f"再次确认。\n\n在 2026-11-03 10:15:16，{WHO} 写道：\n\n> 您好\n>\n> 在 2026-11-02 09:00:00，张三 写道：\n>> 请问\n",
        "再次确认。",
    ),
    "lines that end in CRLF": (
        f"已收到。\r\n\r\n{WHO} 于2026年11月3日周二 10:15写道：\r\n\r\n> 您好\r\n",
        "已收到。",
    ),
}


@pytest.mark.parametrize(("text", "new"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_what_is_new(text: str, new: str) -> None:
    assert fresh(text) == new


OWN_WORDS = {
    "somebody wrote": "他在合同里写道：“保险期间为一年。”请问这是什么意思？",
    "you wrote": "您好，\n在合同第三条里贵公司写道：“等待期为三十天。”请问从哪天起算？\n谢谢。",
    "a doctor wrote": "您好：\n于是医生在病历上写道：建议住院治疗。\n请问能赔吗？",
    "a doctor wrote on a day": "您好：\n主治医生于2026年11月3日在病历里写道：建议住院。\n请问能赔吗？",
    "a letter of ours from a day": "您好：\n在2026年11月3日的来信里，你们写道：十日内赔付。\n现在已经过了二十天。",
    "a colleague wrote": 'Hello,\nOn 3 November your colleague wrote:\n"We will pay within ten days."\nThat was four weeks ago.',
    "on that page we wrote": "Dear all,\nOn page 3 of the form I wrote: no known illness.\nPlease correct it.",
    "a day and a word": "Hello,\nAt 2026-11-03 10:15 I called you, and the agent wrote: not covered.\nWhy?",
    "a journey": "Hello,\nmy flight\nFrom: Beijing\nTo: Shanghai\nDate: 3 November\nwas delayed by seven hours.",
    "a journey in running text": "Hello,\nFrom: Beijing To: Shanghai\nDate: 3 November 2026\nThe flight was delayed.",
    "dates of a cover": "Please change the cover:\nFrom: 1 January\nTo: 31 March\nThank you.",
    "a parcel": "您好，我要理赔退货运费险。\n快递信息：\n发件人：张三\n收件人：李四\n丢失物品：手机一部\n请尽快处理。",
    "a parcel of a day": "包裹丢失：\n发件人：张三\n时间：11月3日\n运单号：SF123\n请理赔。",
    "a table": "姓名 | 保单号\n---|---\n张三 | P1\n李四 | P2\n请一并办理。",
    "a ruled list": "请修改：\n----------\n1. 地址\n----------\n2. 电话",
    "a ruled line": "第一件事\n\n________________________________\n\n第二件事",
    "a signature": "请回电。\n--\n张三\n13800138000",
    "dashes as points": "I need:\n- the policy\n- the receipt\n-- and the form\n\n- Zhang",
    "numbers compared": "保额：\n> 50 万\n< 100 万\n请报价。",
    "arrows": "步骤\n-> 点击\n--> 没有反应\n请帮忙。",
    "the word wrote": "I wrote to you last week and nobody answered.\n\nPlease call.",
    "the word original": "请把原始邮件发给我，我没有收到。\n---\n张三",
    "a sender asked for": "From: which address will the policy come?\nI would like to know.",
    "signs of a disclaimer": "Warning: the e-mail I got says my policy ends.\nIs it true?\nThanks,\nZhang",
    "thanks in the middle": "Thanks,\nI got it. But please also change my address to Beijing.",
    "greetings in the middle": "谢谢，\n另外请把地址改为北京市。",
    "indented": "明细：\n    一、门诊 100 元\n    二、住院 2000 元\n--\n张三",
}


@pytest.mark.parametrize("text", OWN_WORDS.values(), ids=OWN_WORDS.keys())
def test_words_of_the_customer_are_kept(text: str) -> None:
    assert fresh(text) == text


INLINE = {
    "answers only": ("> 您的保单号？\nP123456\n> 哪天出险？\n11月1日", ["P123456", "11月1日"]),
    "answers below the line": (
        f"{WHO} 于2026年11月3日周二 10:15写道：\n> 您的保单号？\nP123456\n> 哪天出险？\n11月1日",
        ["P123456", "11月1日"],
    ),
    "a word above": (
        f"见下文。\n\n{WHO} 于2026年11月3日周二 10:15写道：\n\n> 您的保单号？\n\nP123456\n\n> 哪天出险？\n\n11月1日\n",
        ["见下文。", "P123456", "11月1日"],
    ),
    "a word above, 163": (
        f"见下文。\n\n在 2026-11-03 10:15:16，{WHO} 写道：\n> 您的保单号？\nP123456\n> 哪天出险？\n11月1日\n",
        ["见下文。", "P123456", "11月1日"],
    ),
    "a word above, in English": (
        f"See below.\n\nOn Tue, Nov 3, 2026 at 10:15 AM {ENGLISH} <{MAIL}> wrote:\n\n> Number?\nP123456\n> Day?\n1 November\n",
        ["See below.", "P123456", "1 November"],
    ),
    "a word above, Apple Mail": (
        f"见下文。\n\n> 2026年11月3日 10:15，{WHO} 写道：\n> \n> 您的保单号？\n\nP123456\n\n> 哪天出险？\n\n11月1日\n",
        ["见下文。", "P123456", "11月1日"],
    ),
    "the answer below all": (
        f"On 11/3/26 10:15, {ENGLISH} wrote:\n> Dear customer,\n> which number?\n\nP123456, and it happened on 1 November.\n",
        ["P123456, and it happened on 1 November."],
    ),
    "a greeting above, the answer below": (
        f"您好！\n\n在 2026/11/3 10:15, {US} 写道:\n> 请问保单号？\n\n保单号是P123456。\n张三\n",
        ["您好！", "保单号是P123456。", "张三"],
    ),
}


@pytest.mark.parametrize(("text", "answers"), INLINE.values(), ids=INLINE.keys())
def test_answers_between_quoted_lines_are_not_lost(text: str, answers: list[str]) -> None:
    found = fresh(text).split("\n")
    assert [line for line in found if line in answers] == answers


WHOLE = {
    "only quoted": "> 您好\n> 请补充",
    "only quoted, with a line above": f"{WHO} 于2026年11月3日周二 10:15写道：\n\n> 您好",
    "forwarded": f"---------- Forwarded message ---------\n发件人： {WHO}\nDate: 2026年11月3日周二 10:15\nSubject: 保单\nTo: 张三\n\n您好",
    "forwarded by Outlook": f"发件人: {WHO}\n发送时间: 2026年11月3日 10:15\n收件人: 张三\n主题: 保单\n\n您的保单已生效。",
    "forwarded by NetEase": f"---- 转发的邮件 ----\n| 发件人 | {US}<{MAIL}> |\n| 日期 | 2026年11月03日 10:15 |\n您好",
    "forwarded by QQ": f'------------------ 原始邮件 ------------------\n发件人: "{US}" <{MAIL}>;\n主题: 保单\n\n您好',
    "forwarded by Thunderbird": f"-------- 转发的消息 --------\n主题: 保单\n日期: 2026/11/3\n发件人: {WHO}\n收件人: 张三\n\n您好",
}


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE.keys())
def test_what_has_no_new_word_is_shown_whole(text: str) -> None:
    assert fresh(text) == text


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\r\n", "\u00a0", "\t\n \n"])
def test_nothing_is_nothing(text: str) -> None:
    assert fresh(text) == ""


PIECES = [
    "您好", "谢谢，", "Thanks,", "> 您好", ">> x", "", "--", "---", "________________________________", "发件人: a", "From: a",
    "发送时间: b", "To: b", "主题: c", "写道：", "wrote:", "在 2026年11月3日，a 写道：", "On Tue, Nov 3, 2026 at 10:15 AM a wrote:",
    "-----原始邮件-----", "| 发件人 |", "于2026年11月3日周二 10:15写道：", "Sent from my iPhone", "Warning: mail", "  x  ", "\t", "最后",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=15).map("\n".join))
def test_what_is_left_is_the_customers_and_is_never_nothing(text: str) -> None:
    new = fresh(text)
    assert bool(new) == bool(text.strip())
    there = [line.strip() for line in text.replace("\r\n", "\n").replace("\u00a0", " ").split("\n")]
    for line in new.split("\n"):
        assert line.strip() in there


@given(st.text(alphabet="您好，我想问一下保单的事情。\nabc 123", min_size=1, max_size=300))
def test_a_text_without_a_quote_is_left_as_it_is(text: str) -> None:
    assert fresh(text) == text.strip()


LONG = {
    "empty lines": "a" + "\n" * 20_000 + "x",
    "quoted lines": "a\n" + "> b\n" * 10_000 + "x",
    "lines of blanks": "a" + "\n \t" * 10_000 + "x\n> b",
    "beginnings of a line that introduces": "On " * 7_000 + "wrote",
    "one long beginning": "wrote\nOn " + "a " * 12_000,
    "senders": "From: a\n" * 12_000,
    "a sender and blanks": "From:" + " " * 20_000 + "x",
    "dashes": "\n--" + "-" * 50_000,
    "lines of dashes": "--\n" * 20_000,
    "signs of quoting": ">" * 50_000 + "\n--",
    "signs of quoting and blanks": "> " * 30_000 + "wrote",
    "underscores": "\n\n" + "_" * 50_000 + "\n--",
    "warnings": "wrote\n" + "Warning: e-mail " * 5_000,
    "phones": "wrote\n" + "Sent from my a " * 5_000 + "!",
    "days": "于2026" * 12_000,
    "lines of days": "a于2026年x\n" * 10_000,
    "places": "在" * 50_000 + "写道",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_no_text_takes_long(text: str) -> None:
    before = time.perf_counter()
    fresh(text)
    assert time.perf_counter() - before < 3


def test_a_text_longer_than_any_letter_is_left_as_it_is() -> None:
    text = "保单\n" * 100_000
    assert fresh(text) == text.strip()
